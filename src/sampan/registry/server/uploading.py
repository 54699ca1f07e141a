"""end-4 to end-6, end-11, end-13, end-14: blobs on their way up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.registry.server import answers, digests, errors
from sampan.registry.server.uploads import Uploads

if TYPE_CHECKING:
    from aiohttp import web

    from sampan.registry.server.index import Index
    from sampan.registry.server.storage import StorageDriver


class Uploading:
    def __init__(self, storage: StorageDriver, index: Index) -> None:
        self._index, self._uploads = index, Uploads(storage, index)

    async def start(self, request: web.BaseRequest, repository: str) -> web.StreamResponse:
        """end-4a, end-4b, end-4c, end-11."""
        query = request.query
        if mounted := query.get("mount"):
            digests.check(mounted)
            origin = query.get("from")
            if self._index.has(origin, mounted) if origin else self._index.anywhere(mounted):
                with self._index.writing():
                    self._index.link(repository, mounted)
                return self._created(repository, mounted)
        promised = query.get("digest")
        algorithm = query.get("digest-algorithm") or "sha256"
        if promised:
            algorithm = digests.check(promised).partition(":")[0]
        upload = self._uploads.start(repository, algorithm)
        if not promised:
            return self._accepted(repository, upload)
        session = self._uploads.get(repository, upload)
        try:
            await self._uploads.append(session, answers.chunks(request), "", None)
            self._uploads.finish(repository, upload, promised)
        except BaseException:
            self._uploads.drop(upload)
            raise
        return self._created(repository, promised)

    async def patch(
        self, request: web.BaseRequest, repository: str, upload: str
    ) -> web.StreamResponse:
        """end-5."""
        session = self._uploads.get(repository, upload)
        await self._append(request, repository, upload)
        return self._accepted(repository, upload, session.size)

    async def put(
        self, request: web.BaseRequest, repository: str, upload: str
    ) -> web.StreamResponse:
        """end-6."""
        self._uploads.get(repository, upload)
        promised = digests.check(request.query.get("digest", ""))
        await self._append(request, repository, upload)
        self._uploads.finish(repository, upload, promised)
        return self._created(repository, promised)

    async def _append(self, request: web.BaseRequest, repository: str, upload: str) -> None:
        session = self._uploads.get(repository, upload)
        try:
            await self._uploads.append(
                session,
                answers.chunks(request),
                request.headers.get("Content-Range", "") if request.can_read_body else "",
                request.content_length,
            )
        except errors.RegistryError as error:
            error.add_note(f"0-{max(0, session.size - 1)}")
            raise
        except ConnectionResetError:  # nobody is there to hear it; what came is kept
            raise errors.upload_invalid("the connection broke", 400) from None

    async def status(
        self, request: web.BaseRequest, repository: str, upload: str
    ) -> web.StreamResponse:
        """end-13."""
        session = self._uploads.get(repository, upload)
        return self._accepted(repository, upload, session.size, status=204)

    async def cancel(
        self, request: web.BaseRequest, repository: str, upload: str
    ) -> web.StreamResponse:
        """end-14."""
        self._uploads.get(repository, upload)
        self._uploads.drop(upload)
        return answers.answered(204)

    def _accepted(
        self, repository: str, upload: str, size: int = 0, status: int = 202
    ) -> web.Response:
        return answers.answered(
            status,
            b"",
            {
                "Location": f"/v2/{repository}/blobs/uploads/{upload}",
                "Range": f"0-{max(0, size - 1)}",
                "Docker-Upload-UUID": upload,
            },
        )

    def _created(self, repository: str, digest: str) -> web.Response:
        location = f"/v2/{repository}/blobs/{digest}"
        return answers.answered(201, b"", {"Location": location, "Docker-Content-Digest": digest})
