"""The distribution API over storage and index.

    server = Server(storage, index, users)
    await server.start(listening_socket, tls)
    await server.stop()

Manifests are small and asked for most: the latest are kept in memory, and any write to a repository
forgets its own. Blobs go out by sendfile(2). Each end-N of the specification is one method.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from sampan.registry.server import digests, errors, manifests
from sampan.registry.server.sending import Sent
from sampan.registry.server.uploads import Uploads

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable

    from sampan.registry.server.htpasswd import Users
    from sampan.registry.server.index import Index
    from sampan.registry.server.storage import StorageDriver

    Handler = Callable[..., Awaitable[web.StreamResponse]]

log = logging.getLogger("sampan.registry")
_NAME = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_CACHED = 1024  # manifests, none above _SMALL bytes
_SMALL = 256 << 10
_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}
_JSON = "application/json"
_INDEX = "application/vnd.oci.image.index.v1+json"


class Server:
    def __init__(self, storage: StorageDriver, index: Index, users: Users | None = None) -> None:
        self._storage, self._index, self._users = storage, index, users
        self._uploads = Uploads(storage, index)
        self._cache: dict[tuple[str, str], tuple[str, str, bytes]] = {}
        self._runner: web.ServerRunner | None = None

    async def start(self, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None), handle_signals=False, shutdown_timeout=2
        )
        await self._runner.setup()
        await web.SockSite(self._runner, sock, ssl_context=tls).start()

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except errors.RegistryError as error:
            log.info("%s %s: %s %s", request.method, request.path_qs, error.status, error)
            headers = dict(_VERSION)
            for note in getattr(error, "__notes__", ()):  # how far an upload has come
                headers["Range"] = note
            if error.status == 401:
                headers["WWW-Authenticate"] = 'Basic realm="sampan registry"'
            return web.Response(
                status=error.status,
                body=json.dumps(error.document()).encode(),
                content_type=_JSON,
                headers=headers,
            )

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, method = request.path, request.method
        if self._users is not None:
            self._authenticate(request)
        if method in ("GET", "HEAD") and (cut := path.find("/manifests/")) > 0:
            return self._get_manifest(request, path[4:cut], path[cut + 11 :])
        if path in ("/v2/", "/v2"):
            return _answered(200, b"{}", {"Content-Type": _JSON})
        if path == "/v2/_catalog":
            return self._catalog(request)
        return await self._route(request, path, method)

    async def _route(self, request: web.BaseRequest, path: str, method: str) -> web.StreamResponse:
        for pattern, handlers in _ROUTES:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            name = handlers.get(method)
            if name is None:
                raise errors.unsupported(f"{method} is not allowed here")
            repository = match["name"]
            if not _NAME.fullmatch(repository) or len(repository) > 255:
                raise errors.name_invalid(repository)
            handler: Handler = getattr(self, f"_{name}")
            return await handler(request, *match.groups())
        raise errors.RegistryError(404, "NAME_INVALID", f"there is nothing at {path}")

    def _authenticate(self, request: web.BaseRequest) -> None:
        assert self._users is not None
        kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            decoded = base64.b64decode(encoded, validate=True).decode()
            user, _, password = decoded.partition(":") if kind.lower() == "basic" else ("",) * 3
        except (binascii.Error, UnicodeDecodeError):
            user = password = ""
        if not (user and self._users.accept(user, password)):
            raise errors.RegistryError(401, "UNAUTHORIZED", "authentication required")

    # ---- manifests

    def _get_manifest(
        self, request: web.BaseRequest, repository: str, reference: str
    ) -> web.Response:
        """end-3."""
        found = self._cache.get((repository, reference))
        if found is None:
            found = self._load(repository, reference)
        digest, media_type, body = found
        headers = {
            "Content-Type": media_type,
            "Docker-Content-Digest": digest,
            "ETag": f'"{digest}"',
            **_VERSION,
        }
        if request.headers.get("If-None-Match") == headers["ETag"]:
            return web.Response(status=304, headers=headers)
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(len(body))})
        return web.Response(body=body, headers=headers)

    def _load(self, repository: str, reference: str) -> tuple[str, str, bytes]:
        if not _NAME.fullmatch(repository):
            raise errors.name_invalid(repository)
        if digests.looks_like(reference):
            digests.check(reference)
        known = self._index.manifest(repository, reference)
        if known is None:
            if not self._index.exists(repository):
                raise errors.name_unknown(repository)
            raise errors.manifest_unknown(reference)
        digest, media_type = known
        with open(self._storage.path(digest), "rb") as file:
            found = digest, media_type, file.read()
        if len(found[2]) <= _SMALL:
            if len(self._cache) >= _CACHED:
                self._cache.pop(next(iter(self._cache)))
            self._cache[repository, reference] = found
        return found

    def _changed(self, repository: str) -> None:
        for key in [key for key in self._cache if key[0] == repository]:
            del self._cache[key]

    async def _put_manifest(
        self, request: web.BaseRequest, repository: str, reference: str
    ) -> web.StreamResponse:
        """end-7a, end-7b."""
        tags = request.query.getall("tag", [])
        algorithm = "sha256"
        if digests.looks_like(reference):
            algorithm = digests.check(reference).partition(":")[0]
        else:
            tags = [reference, *tags]
        for tag in tags:
            if not _TAG.fullmatch(tag):
                raise errors.manifest_invalid(f"{tag!r:.200} is no tag")
        body = await _body(request, manifests.LIMIT)
        digest = digests.of(body, algorithm)
        if digests.looks_like(reference) and digest != reference:
            raise errors.digest_invalid(reference, f"was promised, {digest} was sent")
        manifest = manifests.parse(body, request.headers.get("Content-Type", ""))
        for required in manifest.required:
            if not self._index.has(repository, required):
                raise errors.RegistryError(
                    404, "MANIFEST_BLOB_UNKNOWN", f"push {required} first", {"digest": required}
                )
        with self._index.writing():
            self._storage.put(digest, body)
            self._index.put_manifest(
                repository, digest, media_type=manifest.media_type, size=len(body),
                subject=manifest.subject, artifact_type=manifest.artifact_type,
                annotations=manifest.annotations, needs=manifest.needs, tags=tags,
            )  # fmt: skip
        self._changed(repository)
        headers = {
            "Location": f"/v2/{repository}/manifests/{digest}",
            "Docker-Content-Digest": digest,
        }
        if manifest.subject:
            headers["OCI-Subject"] = manifest.subject
        response = _answered(201, b"", headers)
        for tag in request.query.getall("tag", []):
            response.headers.add("OCI-Tag", tag)
        return response

    async def _delete_manifest(
        self, request: web.BaseRequest, repository: str, reference: str
    ) -> web.StreamResponse:
        """end-9."""
        if digests.looks_like(reference):
            found = self._index.delete_manifest(repository, digests.check(reference))
        else:
            found = self._index.delete_tag(repository, reference)
        self._changed(repository)
        if not found:
            raise errors.manifest_unknown(reference)
        return _answered(202)

    # ---- blobs

    async def _get_blob(
        self, request: web.BaseRequest, repository: str, digest: str
    ) -> web.StreamResponse:
        """end-2."""
        digests.check(digest)
        size = self._storage.size(digest) if self._index.has(repository, digest) else None
        if size is None:
            raise errors.blob_unknown(digest)
        headers = {"Docker-Content-Digest": digest, "ETag": f'"{digest}"', **_VERSION}
        return Sent(self._storage.path(digest), size, headers)

    async def _delete_blob(
        self, request: web.BaseRequest, repository: str, digest: str
    ) -> web.StreamResponse:
        """end-10; the bytes go with the next collection."""
        if not self._index.unlink(repository, digests.check(digest)):
            raise errors.blob_unknown(digest)
        return _answered(202)

    # ---- uploads

    async def _start_upload(self, request: web.BaseRequest, repository: str) -> web.StreamResponse:
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
            await self._uploads.append(session, _chunks(request), "", None)
            self._uploads.finish(repository, upload, promised)
        except BaseException:
            self._uploads.drop(upload)
            raise
        return self._created(repository, promised)

    async def _patch_upload(
        self, request: web.BaseRequest, repository: str, upload: str
    ) -> web.StreamResponse:
        """end-5."""
        session = self._uploads.get(repository, upload)
        await self._append(request, repository, upload)
        return self._accepted(repository, upload, session.size)

    async def _put_upload(
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
                _chunks(request),
                request.headers.get("Content-Range", "") if request.can_read_body else "",
                request.content_length,
            )
        except errors.RegistryError as error:
            error.add_note(f"0-{max(0, session.size - 1)}")
            raise
        except ConnectionResetError:  # nobody is there to hear it; what came is kept
            raise errors.upload_invalid("the connection broke", 400) from None

    async def _upload_status(
        self, request: web.BaseRequest, repository: str, upload: str
    ) -> web.StreamResponse:
        """end-13."""
        session = self._uploads.get(repository, upload)
        return self._accepted(repository, upload, session.size, status=204)

    async def _cancel_upload(
        self, request: web.BaseRequest, repository: str, upload: str
    ) -> web.StreamResponse:
        """end-14."""
        self._uploads.get(repository, upload)
        self._uploads.drop(upload)
        return _answered(204)

    def _accepted(
        self, repository: str, upload: str, size: int = 0, status: int = 202
    ) -> web.Response:
        return _answered(
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
        return _answered(201, b"", {"Location": location, "Docker-Content-Digest": digest})

    # ---- lists

    def _catalog(self, request: web.BaseRequest) -> web.Response:
        count, last = _page(request)
        found = self._index.repositories(count, last)
        return _listed({"repositories": found}, "/v2/_catalog", found, count)

    async def _tags(self, request: web.BaseRequest, repository: str) -> web.StreamResponse:
        """end-8a, end-8b."""
        count, last = _page(request)
        found = self._index.tags(repository, count, last)
        if not found and not self._index.exists(repository):
            raise errors.name_unknown(repository)
        path = f"/v2/{repository}/tags/list"
        return _listed({"name": repository, "tags": found}, path, found, count)

    async def _referrers(
        self, request: web.BaseRequest, repository: str, subject: str
    ) -> web.StreamResponse:
        """end-12a, end-12b."""
        wanted = request.query.get("artifactType")
        found = []
        rows = self._index.referrers(repository, digests.check(subject))
        for digest, media_type, size, kind, notes in rows:
            if wanted and kind != wanted:
                continue
            entry: dict[str, Any] = {"mediaType": media_type, "size": size, "digest": digest}
            if kind:
                entry["artifactType"] = kind
            if notes:
                entry["annotations"] = json.loads(notes)
            found.append(entry)
        document = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": found}
        headers = {"Content-Type": _INDEX}
        if wanted:
            headers["OCI-Filters-Applied"] = "artifactType"
        return _answered(200, json.dumps(document).encode(), headers)


_ROUTES = (
    (re.compile(r"/v2/(?P<name>.+)/blobs/uploads/?"), {"POST": "start_upload"}),
    (
        re.compile(r"/v2/(?P<name>.+)/blobs/uploads/([0-9a-f]{32})"),
        {"GET": "upload_status", "PATCH": "patch_upload", "PUT": "put_upload",
         "DELETE": "cancel_upload"},
    ),
    (
        re.compile(r"/v2/(?P<name>.+)/blobs/([^/]+)"),
        {"GET": "get_blob", "HEAD": "get_blob", "DELETE": "delete_blob"},
    ),
    (
        re.compile(r"/v2/(?P<name>.+)/manifests/([^/]+)"),
        {"PUT": "put_manifest", "DELETE": "delete_manifest"},
    ),
    (re.compile(r"/v2/(?P<name>.+)/tags/list"), {"GET": "tags"}),
    (re.compile(r"/v2/(?P<name>.+)/referrers/([^/]+)"), {"GET": "referrers"}),
)  # fmt: skip


def _answered(
    status: int, body: bytes = b"", headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(status=status, body=body, headers={**_VERSION, **(headers or {})})


def _page(request: web.BaseRequest) -> tuple[int | None, str]:
    text, last = request.query.get("n"), request.query.get("last", "")
    if text is None:
        return None, last
    if not (text.isascii() and text.isdecimal()):
        raise errors.RegistryError(
            400, "PAGINATION_NUMBER_INVALID", f"n must be a number, not {text!r:.50}"
        )
    return int(text), last


def _listed(
    document: dict[str, Any], path: str, found: list[str], count: int | None
) -> web.Response:
    """A page, with the way to the next one while there may be one."""
    headers = {"Content-Type": _JSON}
    if count and len(found) == count:
        headers["Link"] = f'<{path}?n={count}&last={quote(found[-1], safe="")}>; rel="next"'
    return _answered(200, json.dumps(document).encode(), headers)


async def _chunks(request: web.BaseRequest):  # type: ignore[no-untyped-def]
    async for chunk in request.content.iter_any():
        yield chunk


async def _body(request: web.BaseRequest, limit: int) -> bytes:
    parts, size = [], 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > limit:
            raise errors.RegistryError(413, "SIZE_INVALID", f"a manifest has at most {limit} bytes")
        parts.append(chunk)
    return b"".join(parts)
