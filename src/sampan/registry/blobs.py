"""Bytes of a blob from one host: all of them, or a range (distribution-spec, "Pulling blobs").

A host need not send ranges: an answer of 200 is the whole blob, whatever was asked for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

import aiohttp

from sampan.kit.record import Record
from sampan.kit.threads import in_thread
from sampan.registry import errors, problems

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sampan.registry.client import Client
    from sampan.registry.transport import Transport


P = ParamSpec("P")
T = TypeVar("T")

PIECE = 1 << 20  # bytes handed to a thread at once: hashing and writing them takes about 1 ms


class Wanted(NamedTuple):
    digest: str
    offset: int = 0
    length: int | None = None  # None: to the end
    etag: str = ""

    @property
    def headers(self) -> dict[str, str]:
        if not self.offset and self.length is None:
            return {}
        last = "" if self.length is None else self.offset + self.length - 1
        headers = {"Range": f"bytes={self.offset}-{last}"}
        return {**headers, "If-Range": self.etag} if self.etag else headers


class Blob(Record):
    """A blob on its way: its bytes from `offset` on, from `host`."""

    host: str
    offset: int
    etag: str
    partial: bool  # no more than was asked for; else all that follows `offset`, which is 0
    response: aiohttp.ClientResponse

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises Unreachable where the connection breaks."""
        try:
            async for chunk in self.response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = f"the connection broke in the middle of a blob ({str(error) or 'timed out'})"
            raise errors.Unreachable(self.host, why) from error

    async def pieces(self) -> AsyncIterator[bytes]:
        """The same in pieces of about PIECE; what came before the connection broke, too."""
        parts: list[bytes] = []
        size = 0
        try:
            async for chunk in self.chunks():
                parts.append(chunk)
                size += len(chunk)
                if size >= PIECE:
                    whole, parts, size = b"".join(parts), [], 0
                    yield whole
        except errors.Unreachable:
            yield b"".join(parts)
            raise
        yield b"".join(parts)

    def close(self) -> None:
        """The connection is used again where all of the answer was read."""
        if self.response.content.at_eof():
            self.response.release()
        else:
            self.response.close()


async def finished(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`in_thread` that is never left behind: cancelled, it still waits for the thread.

    Else a file would be closed, and its descriptor be another file's, under a write.
    """
    work = asyncio.ensure_future(in_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


async def get(client: Client, host: Transport, wanted: Wanted) -> Blob:
    """Raises BlobUnknown and what `Client` raises for other refusals."""
    response = await host.request(
        "GET", client._path(host, f"/blobs/{wanted.digest}"),
        scopes=client._scope("pull"), headers=wanted.headers,
    )  # fmt: skip
    if response.status == 416 and wanted.headers:
        await problems.discard(response)
        return await get(client, host, Wanted(wanted.digest))
    if response.status not in (200, 206):
        found = await problems.problem(response)
        if response.status == 404:
            raise errors.BlobUnknown(client.reference.repository, wanted.digest)
        client._refuse(host, response.status, found, "pull")
    partial = response.status == 206
    start = _start(response) if partial else 0
    if start not in (0, wanted.offset):
        response.close()
        asked = wanted.headers["Range"]
        raise errors.Refused(host.host.name, 206, f"it sent another range than {asked}")
    strong = response.headers.get("ETag", "")
    return Blob(
        host=host.host.name,
        offset=start,
        etag="" if strong.startswith("W/") else strong,
        partial=partial,
        response=response,
    )


def _start(response: aiohttp.ClientResponse) -> int:
    """Where a partial answer begins (Content-Range, RFC 9110, 14.4); -1 where it does not say."""
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    first = rest.partition("-")[0]
    return int(first) if unit == "bytes" and first.isdecimal() else -1
