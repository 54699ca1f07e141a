"""One blob from a registry into a store: resumed where it broke, checked while it streams."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from sampan.kit import errors as kinds
from sampan.kit.threads import in_thread
from sampan.registry import errors, retries
from sampan.registry.events import Event, Meter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sampan.registry.blobs import Blob
    from sampan.registry.client import Client
    from sampan.registry.events import Listener
    from sampan.registry.store import Ingest, Store

P = ParamSpec("P")
T = TypeVar("T")

_PIECE = 1 << 20  # bytes handed to a thread at once: hashing and writing them takes about 1 ms
_STALLS = 5  # times in a row that a try may bring nothing new


def name(digest: str) -> str:
    """Of the ingest that a blob comes into."""
    return f"pull-{digest}"


async def download(
    client: Client, descriptor: dict[str, Any], store: Store, on_event: Listener
) -> None:
    """Raises WrongDigest and WrongSize with nothing kept, Unreachable with what came kept."""
    digest = descriptor["digest"]
    hosts = len(client.hosts)
    for skip in range(hosts):
        async with _ingest(store, name(digest)) as ingest:
            try:
                await _Download(client, descriptor, ingest, on_event, skip).run()
                return
            except (errors.WrongDigest, errors.WrongSize) as error:
                await _finished(ingest.reset)
                if skip == hosts - 1:
                    raise
                on_event(Event(kind="warning", digest=digest, message=str(error)))


async def _finished(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`in_thread` that is never left behind: cancelled, it still waits for the thread.

    Else the ingest would be closed, and its descriptor be another file's, under a write.
    """
    work = asyncio.ensure_future(in_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


@asynccontextmanager
async def _ingest(store: Store, name: str) -> AsyncIterator[Ingest]:
    """`store.write`, off the loop: it hashes again what an earlier try left."""
    with ExitStack() as stack:
        yield await _finished(stack.enter_context, store.write(name))


class _Download:
    def __init__(
        self,
        client: Client,
        descriptor: dict[str, Any],
        ingest: Ingest,
        on_event: Listener,
        skip: int,
    ) -> None:
        self._client, self._descriptor, self._ingest = client, descriptor, ingest
        self._on_event, self._skip = on_event, skip
        self._digest: str = descriptor["digest"]
        self._size: int = descriptor["size"]
        self._meter = Meter(on_event, self._digest, self._size)
        self._etag, self._host = "", client.reference.domain

    async def run(self) -> None:
        resumed = self._ingest.offset > 0
        await self._complete()
        try:
            await self._commit()
        except errors.WrongDigest:
            if not resumed:
                raise
            # What an earlier try had left may have been somebody else's bytes: once from the start.
            await _finished(self._ingest.reset)
            self._etag = ""
            await self._complete()
            await self._commit()

    async def _complete(self) -> None:
        """Until all bytes are here; a try that brings something new does not count as failed."""
        stalls = 0
        if self._ingest.offset > self._size:
            await _finished(self._ingest.reset)
        while self._ingest.offset < self._size:
            before = self._ingest.offset
            try:
                async with self._client.fetch(
                    self._descriptor, before, None, etag=self._etag, skip=self._skip
                ) as blob:
                    await self._take(blob)
                short = self._ingest.offset < self._size
                failure = self._short() if short else None
            except errors.Unreachable as error:
                failure = error
            if failure is None:
                return
            stalls = 0 if self._ingest.offset > before else stalls + 1
            if stalls >= _STALLS:
                raise failure
            delay = retries.backoff(stalls)
            message = f"{failure}; going on at byte {self._ingest.offset} in {delay:.1f} s"
            self._on_event(Event(kind="retrying", digest=self._digest, message=message))
            await self._client._pause(delay)

    def _short(self) -> errors.Unreachable:
        came = self._ingest.offset
        return errors.Unreachable(self._host, f"only {came} of {self._size} bytes came")

    async def _take(self, blob: Blob) -> None:
        self._etag, self._host = blob.etag, blob.host
        if blob.offset != self._ingest.offset:
            await _finished(self._ingest.reset)
        parts: list[bytes] = []
        size = 0
        try:
            async for chunk in blob.chunks():
                parts.append(chunk)
                size += len(chunk)
                if size >= _PIECE:
                    piece, parts, size = b"".join(parts), [], 0
                    await self._write(piece)
        except errors.Unreachable:
            await self._write(b"".join(parts))  # kept: the next try goes on behind it
            raise
        await self._write(b"".join(parts))

    async def _write(self, piece: bytes) -> None:
        if not piece:
            return
        came = self._ingest.offset + len(piece)
        if came > self._size:
            raise errors.WrongSize(self._host, self._digest, self._size, came)
        await _finished(self._ingest.write, piece)
        self._meter.show(came)

    async def _commit(self) -> None:
        self._on_event(Event(kind="verifying", digest=self._digest, total=self._size))
        try:
            await _finished(self._ingest.commit, self._digest, self._size)
        except kinds.InvalidArgument as error:
            actual = str(getattr(error, "actual", "") or "others")
            raise errors.WrongDigest(self._host, self._digest, actual) from error
