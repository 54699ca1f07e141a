"""The distribution API over storage and index.

    server = Server(storage, index, users)
    await server.start(listening_socket, tls)
    await server.stop()

Manifests are small and asked for most: the latest are kept in memory, and any write to a repository
forgets its own. Blobs go out by sendfile(2). Each end-N of the specification is one method, here
or in a part (`uploading`, `lists`) that the routes name.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from typing import TYPE_CHECKING

from aiohttp import web

from sampan.registry.server import answers, digests, errors, manifests
from sampan.registry.server.lists import Lists
from sampan.registry.server.sending import Sent
from sampan.registry.server.uploading import Uploading

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


class Server:
    def __init__(self, storage: StorageDriver, index: Index, users: Users | None = None) -> None:
        self._storage, self._index, self._users = storage, index, users
        self._lists, self._uploads = Lists(index), Uploading(storage, index)
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
            headers = dict(answers.VERSION)
            for note in getattr(error, "__notes__", ()):  # how far an upload has come
                headers["Range"] = note
            if error.status == 401:
                headers["WWW-Authenticate"] = 'Basic realm="sampan registry"'
            return web.Response(
                status=error.status,
                body=json.dumps(error.document()).encode(),
                content_type=answers.JSON,
                headers=headers,
            )

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path, method = request.path, request.method
        if self._users is not None:
            self._authenticate(request)
        if method in ("GET", "HEAD") and (cut := path.find("/manifests/")) > 0:
            return self._get_manifest(request, path[4:cut], path[cut + 11 :])
        if path in ("/v2/", "/v2"):
            return answers.answered(200, b"{}", {"Content-Type": answers.JSON})
        if path == "/v2/_catalog":
            return self._lists.catalog(request)
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
            part, _, verb = name.rpartition(".")
            handler: Handler = (
                getattr(getattr(self, f"_{part}"), verb) if part else getattr(self, f"_{verb}")
            )
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
            **answers.VERSION,
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
        body = await answers.body(request, manifests.LIMIT)
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
        response = answers.answered(201, b"", headers)
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
        return answers.answered(202)

    # ---- blobs

    async def _get_blob(
        self, request: web.BaseRequest, repository: str, digest: str
    ) -> web.StreamResponse:
        """end-2."""
        digests.check(digest)
        size = self._storage.size(digest) if self._index.has(repository, digest) else None
        if size is None:
            raise errors.blob_unknown(digest)
        headers = {"Docker-Content-Digest": digest, "ETag": f'"{digest}"', **answers.VERSION}
        return Sent(self._storage.path(digest), size, headers)

    async def _delete_blob(
        self, request: web.BaseRequest, repository: str, digest: str
    ) -> web.StreamResponse:
        """end-10; the bytes go with the next collection."""
        if not self._index.unlink(repository, digests.check(digest)):
            raise errors.blob_unknown(digest)
        return answers.answered(202)


_ROUTES = (
    (re.compile(r"/v2/(?P<name>.+)/blobs/uploads/?"), {"POST": "uploads.start"}),
    (
        re.compile(r"/v2/(?P<name>.+)/blobs/uploads/([0-9a-f]{32})"),
        {"GET": "uploads.status", "PATCH": "uploads.patch", "PUT": "uploads.put",
         "DELETE": "uploads.cancel"},
    ),
    (
        re.compile(r"/v2/(?P<name>.+)/blobs/([^/]+)"),
        {"GET": "get_blob", "HEAD": "get_blob", "DELETE": "delete_blob"},
    ),
    (
        re.compile(r"/v2/(?P<name>.+)/manifests/([^/]+)"),
        {"PUT": "put_manifest", "DELETE": "delete_manifest"},
    ),
    (re.compile(r"/v2/(?P<name>.+)/tags/list"), {"GET": "lists.tags"}),
    (re.compile(r"/v2/(?P<name>.+)/referrers/([^/]+)"), {"GET": "lists.referrers"}),
)  # fmt: skip
