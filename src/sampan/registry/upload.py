"""Pushing one blob: is it there, can it be mounted, else upload it (distribution-spec, "Push").

A blob goes up in one request. A registry that refuses the size of it (or PUT with a body) gets
chunks, of the size it asks for (OCI-Chunk-Min-Length) or 16 MiB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp

from sampan.kit import errors as kinds
from sampan.kit.threads import in_thread
from sampan.registry import auth, errors, retries, transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import BinaryIO

    from sampan.registry.client import Client
    from sampan.registry.store import Store
    from sampan.registry.transport import Transport

    Show = Callable[[int], object]

_PIECE = 1 << 20
_CHUNK = 16 << 20
_TRIES = 3
_TOO_MUCH_AT_ONCE = frozenset({405, 411, 413})
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=600)  # it hashes at the end


class Uploads:
    def __init__(self, client: Client, host: Transport) -> None:
        self._client, self._host = client, host
        self._scopes = client._scope("pull,push")

    async def exists(self, digest: str) -> bool:
        path = self._client._path(self._host, f"/blobs/{digest}")
        response = await self._host.request("HEAD", path, scopes=self._scopes)
        if response.status in (401, 403):
            found = await transport.problem(response)
            self._client._refuse(self._host, response.status, found, "push")
        await transport.discard(response)
        return response.status == 200

    async def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository (its path) of the same registry."""
        query = urlencode({"mount": digest, "from": source})
        scopes = [*self._scopes, auth.scope(source, "pull")]
        try:
            response = await self._host.request(
                "POST", self._client._path(self._host, "/blobs/uploads/") + "?" + query,
                scopes=scopes, headers={"Content-Length": "0"},
            )  # fmt: skip
        except kinds.InvalidArgument:
            return False  # no token for the other repository: it is pushed instead
        location = response.headers.get("Location", "")
        await transport.discard(response)
        if response.status == 202 and location:  # an upload that nobody will finish
            cancel = await self._host.request(
                "DELETE", self._host.joined(response, location), scopes=self._scopes
            )
            await transport.discard(cancel)
        return response.status == 201

    async def push(self, descriptor: dict[str, Any], store: Store, show: Show) -> None:
        """Upload a blob; `show` is told how many bytes are gone."""
        digest = descriptor["digest"]
        size = store.size(digest)
        for attempt in range(_TRIES):
            try:
                with store.open(digest) as file:
                    await self._monolithic(digest, file, size, show)
                return
            except errors.Refused as error:
                if error.status not in _TOO_MUCH_AT_ONCE:
                    raise
                with store.open(digest) as file:
                    await self._chunked(digest, file, size, show)
                return
            except kinds.Unavailable as error:
                if attempt == _TRIES - 1 or isinstance(error, errors.NotTrusted):
                    raise
                delay = getattr(error, "retry_after", None) or retries.backoff(attempt)
                self._host.on_retry(str(error), delay)
                await self._client._pause(delay)

    async def _begin(self) -> tuple[str, int]:
        """A new upload: its address, and the size that chunks should have."""
        path = self._client._path(self._host, "/blobs/uploads/")
        response = await self._host.request(
            "POST", path, scopes=self._scopes, headers={"Content-Length": "0"}
        )
        if response.status != 202:
            found = await transport.problem(response)
            self._client._refuse(self._host, response.status, found, "push")
        await transport.discard(response)
        least = response.headers.get("OCI-Chunk-Min-Length", "")
        return self._next(response), max(_CHUNK, int(least) if least.isdigit() else 0)

    def _next(self, response: aiohttp.ClientResponse) -> str:
        location = response.headers.get("Location", "")
        if not location:
            raise errors.Refused(self._host.host.name, response.status, "it names no upload")
        return self._host.joined(response, location)

    async def _monolithic(self, digest: str, file: BinaryIO, size: int, show: Show) -> None:
        location, _ = await self._begin()
        await self._finish(location, digest, _bytes(file, size, 0, show), size)

    async def _chunked(self, digest: str, file: BinaryIO, size: int, show: Show) -> None:
        location, chunk = await self._begin()
        for start in range(0, size, chunk):
            length = min(chunk, size - start)
            headers = {
                "Content-Type": "application/octet-stream",
                "Content-Length": str(length),
                "Content-Range": f"{start}-{start + length - 1}",
            }
            response = await self._host.request(
                "PATCH", location, scopes=self._scopes, headers=headers,
                body=_bytes(file, length, start, show), patience=_TIMEOUT, once=True,
            )  # fmt: skip
            if response.status not in (202, 204):
                found = await transport.problem(response)
                self._client._refuse(self._host, response.status, found, "push")
            await transport.discard(response)
            location = self._next(response)
        await self._finish(location, digest, lambda: b"", 0)

    async def _finish(self, location: str, digest: str, body: transport.Body, size: int) -> None:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        response = await self._host.request(
            "PUT", _with_digest(location, digest), scopes=self._scopes, headers=headers,
            body=body, patience=_TIMEOUT, once=True,
        )  # fmt: skip
        if response.status not in (201, 204):
            found = await transport.problem(response)
            self._client._refuse(self._host, response.status, found, "push")
        await transport.discard(response)


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
            piece = await in_thread(file.read, min(_PIECE, left))
            if not piece:
                raise kinds.NotFound(f"a blob of {size} bytes ended {left} bytes early")
            yield piece
            left -= len(piece)
            show(start + size - left)

    return generate
