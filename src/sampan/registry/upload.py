"""Pushing one blob: is it there, can it be mounted, else upload it (distribution-spec, "Push").

A blob goes up in one request. A registry that refuses the size of it (or PUT with a body) gets
chunks, of the size it asks for (OCI-Chunk-Min-Length) or 16 MiB. When the connection breaks, the
registry is asked how much it has (GET of the upload), and the rest follows with a Content-Range.
It may say so while it still writes down what came before: then it finds the rest out of step (416,
or 404 with BLOB_UPLOAD_INVALID, as docker's registry says it), and is asked again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp

from sampan.kit import errors as kinds
from sampan.kit.threads import in_thread
from sampan.registry import auth, blobs, errors, problems, retries, transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import BinaryIO

    from sampan.registry.client import Client
    from sampan.registry.store import Store
    from sampan.registry.transport import Transport

    Show = Callable[[int], object]

_CHUNK = 16 << 20
_TRIES = 3
_OUT_OF_STEP = 416
_OUT_OF_STEP_CODES = frozenset({"BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN"})
_TOO_MUCH_AT_ONCE = frozenset({405, 411, 413})
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=600)  # it hashes at the end


class Uploads:
    def __init__(self, client: Client, host: Transport) -> None:
        self._client, self.host = client, host
        self._scopes = client._scope("pull,push")

    async def exists(self, digest: str) -> bool:
        path = self._client._path(self.host, f"/blobs/{digest}")
        response = await self.host.request("HEAD", path, scopes=self._scopes)
        if response.status in (401, 403):
            found = await problems.problem(response)
            self._client._refuse(self.host, response.status, found, "push")
        await problems.discard(response)
        return response.status == 200

    async def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository (its path) of the same registry."""
        query = urlencode({"mount": digest, "from": source})
        scopes = [*self._scopes, auth.scope(source, "pull")]
        try:
            response = await self.host.request(
                "POST", self._client._path(self.host, "/blobs/uploads/") + "?" + query,
                scopes=scopes, headers={"Content-Length": "0"},
            )  # fmt: skip
        except kinds.InvalidArgument:
            return False  # no token for the other repository: it is pushed instead
        location = response.headers.get("Location", "")
        await problems.discard(response)
        if response.status == 202 and location:  # an upload that nobody will finish
            cancel = await self.host.request(
                "DELETE", self.host.joined(response, location), scopes=self._scopes
            )
            await problems.discard(cancel)
        return response.status == 201

    async def push(self, descriptor: dict[str, Any], store: Store, show: Show) -> None:
        """Upload a blob; `show` is told how many bytes are gone."""
        digest = descriptor["digest"]
        with store.open(digest) as file:
            await _Upload(self, file, digest, store.size(digest), show).run()

    async def request(
        self,
        method: str,
        location: str,
        headers: dict[str, str],
        body: transport.Body | None = None,
        *,
        good: tuple[int, ...],
    ) -> aiohttp.ClientResponse:
        """An answer that is read. One with a body is tried once: half of it may have come."""
        response = await self.host.request(
            method, location, scopes=self._scopes, headers=headers,
            body=body, limits=_TIMEOUT, once=body is not None,
        )  # fmt: skip
        if response.status not in good:
            found = await problems.problem(response)
            if response.status == _OUT_OF_STEP or _OUT_OF_STEP_CODES.intersection(found.codes):
                raise errors.OutOfStep(self.host.host.name, found.message)
            self._client._refuse(self.host, response.status, found, "push")
        await problems.discard(response)
        return response

    def path(self, digest: str) -> str:
        """Where an upload begins; an unusual algorithm is told beforehand (distribution-spec)."""
        algorithm = digest.partition(":")[0]
        query = "" if algorithm == "sha256" else "?" + urlencode({"digest-algorithm": algorithm})
        return self._client._path(self.host, "/blobs/uploads/") + query

    async def pause(self, seconds: float, why: str) -> None:
        self.host.on_retry(why, seconds)
        await self._client._pause(seconds)


class _Upload:
    """One blob on its way up."""

    def __init__(
        self, uploads: Uploads, file: BinaryIO, digest: str, size: int, show: Show
    ) -> None:
        self._uploads, self._file, self._show = uploads, file, show
        self._digest, self._size = digest, size
        self._location = ""  # "": none has begun
        self._offset = 0  # bytes that the registry has
        self._chunk = 0  # bytes of a request; 0: as many as there are

    async def run(self) -> None:
        patience = retries.Patience(_TRIES)
        while True:
            try:
                await self._go_on()
                return
            except errors.Refused as error:
                if error.status not in _TOO_MUCH_AT_ONCE or self._chunk:
                    raise
                self._location, self._chunk = "", _CHUNK
                continue
            except errors.NotTrusted:
                raise
            except kinds.Unavailable as error:
                failure = error
            before = self._offset
            await self._uploads.pause(patience.again(failure), str(failure))
            if not await self._ask():
                return
            if self._offset > before:
                patience = retries.Patience(_TRIES)

    async def _go_on(self) -> None:
        if not self._location:
            await self._begin()
        if self._offset or self._chunk:
            while self._offset < self._size:
                await self._send_chunk()
            await self._finish(0)
        else:
            await self._finish(self._size)

    async def _begin(self) -> None:
        response = await self._uploads.request(
            "POST", self._uploads.path(self._digest), {"Content-Length": "0"}, good=(202,)
        )
        least = response.headers.get("OCI-Chunk-Min-Length", "")
        self._chunk = self._chunk and max(self._chunk, int(least) if least.isdecimal() else 0)
        self._offset = 0
        self._next(response)

    async def _send_chunk(self) -> None:
        start, left = self._offset, self._size - self._offset
        length = min(self._chunk or left, left)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(length),
            "Content-Range": f"{start}-{start + length - 1}",
        }
        body = _bytes(self._file, length, start, self._show)
        response = await self._uploads.request(
            "PATCH", self._location, headers, body, good=(202, 204)
        )
        self._offset += length
        self._next(response)

    async def _finish(self, size: int) -> None:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        body = _bytes(self._file, size, 0, self._show)
        location = _with_digest(self._location, self._digest)
        await self._uploads.request("PUT", location, headers, body, good=(201, 204))

    async def _ask(self) -> bool:
        """How much the registry has of a broken upload. False: all of it, and the blob is there."""
        try:
            response = await self._uploads.request("GET", self._location, {}, good=(202, 204))
        except kinds.SampanError:  # it knows of no such upload: it is finished, or lost
            self._location, self._offset = "", 0
            return not await self._uploads.exists(self._digest)
        self._offset = _received(response)
        if self._offset > self._size:  # two requests wrote at once: nothing can come of it
            self._location, self._offset = "", 0
            return True
        if response.headers.get("Location"):
            self._next(response)
        return True

    def _next(self, response: aiohttp.ClientResponse) -> None:
        host, location = self._uploads.host, response.headers.get("Location", "")
        if not location:
            raise errors.Refused(host.host.name, response.status, "it names no upload")
        self._location = host.joined(response, location)


def _received(response: aiohttp.ClientResponse) -> int:
    """`Range: 0-LAST` as a count; 0-0 is what many say of an upload that has nothing."""
    last = response.headers.get("Range", "").rpartition("-")[2]
    return int(last) + 1 if last.isdecimal() and int(last) else 0


def _with_digest(location: str, digest: str) -> str:
    parts = urlsplit(location)
    query = f"{parts.query}&" if parts.query else ""
    return urlunsplit(parts._replace(query=query + urlencode({"digest": digest})))


def _bytes(file: BinaryIO, size: int, start: int, show: Show) -> transport.Body:
    """`size` bytes of a file from `start` on, read off the loop."""
    if not size:
        return lambda: b""

    async def generate() -> AsyncIterator[bytes]:
        await in_thread(file.seek, start)
        left = size
        while left:
            piece = await in_thread(file.read, min(blobs.PIECE, left))
            if not piece:
                raise kinds.NotFound(f"a blob of {size} bytes ended {left} bytes early")
            yield piece
            left -= len(piece)
            show(start + size - left)

    return generate
