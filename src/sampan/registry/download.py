"""One blob from a registry into a store: resumed where it broke, checked while it streams."""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from sampan.kit import errors as kinds
from sampan.registry import errors, retries
from sampan.registry.blobs import finished
from sampan.registry.events import Event, Meter
from sampan.registry.ranges import Ranges

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from sampan.registry.blobs import Blob
    from sampan.registry.client import Client
    from sampan.registry.events import Listener
    from sampan.registry.store import Ingest, Store

_STALLS = 5  # times in a row that a try may bring nothing new


def name(digest: str) -> str:
    """Of the ingest that a blob comes into."""
    return f"pull-{digest}"


async def download(
    client: Client,
    descriptor: dict[str, Any],
    store: Store,
    on_event: Listener,
    spare: asyncio.Semaphore,
) -> None:
    """`spare` counts the connections that may be used beside one of one's own.

    Raises WrongDigest and WrongSize with nothing kept, Unreachable with what came kept.
    """
    digest = descriptor["digest"]
    hosts = len(client.hosts)
    for skip in range(hosts):
        ranges = Ranges(client, store, descriptor, name(digest), spare=spare, skip=skip)
        async with _ingest(store, name(digest)) as ingest:
            work = _Download(client, descriptor, ingest, ranges, on_event, skip)
            try:
                await work.run()
                await ranges.forget()
                return
            except (errors.WrongDigest, errors.WrongSize) as error:
                await work.forget()
                if skip == hosts - 1:
                    raise
                on_event(Event(kind="warning", digest=digest, message=str(error)))
            finally:
                await ranges.close()


@asynccontextmanager
async def _ingest(store: Store, name: str) -> AsyncIterator[Ingest]:
    """`store.write`, off the loop: it hashes again what an earlier try left."""
    with ExitStack() as stack:
        yield await finished(stack.enter_context, store.write(name))


class _Download:
    def __init__(
        self,
        client: Client,
        descriptor: dict[str, Any],
        ingest: Ingest,
        ranges: Ranges,
        on_event: Listener,
        skip: int,
    ) -> None:
        self._client, self._descriptor, self._ingest = client, descriptor, ingest
        self._ranges, self._on_event, self._skip = ranges, on_event, skip
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
            if not resumed and not self._ranges.reused:
                raise
            # What an earlier try had left may have been somebody else's bytes: once from the start.
            await self.forget()
            self._etag = ""
            await self._complete()
            await self._commit()

    async def forget(self) -> None:
        await finished(self._ingest.reset)
        await self._ranges.forget()

    async def _complete(self) -> None:
        """Until all bytes are here; a try that brings something new does not count as failed."""
        patience = retries.Patience(_STALLS)
        if self._ingest.offset > self._size:
            await finished(self._ingest.reset)
        while (before := self._ingest.offset) < self._size:
            await self._ranges.ahead(before, self._etag)
            async for piece in self._ranges.take(before):
                await self._write(piece)
            if self._ingest.offset == self._ranges.end(before):
                continue
            try:
                await self._request(self._ingest.offset)
            except errors.Unreachable as error:
                came = self._ingest.offset
                delay = patience.again(error, progress=came > before)
                message = f"{error}; going on at byte {came} in {delay:.1f} s"
                self._on_event(Event(kind="retrying", digest=self._digest, message=message))
                await self._client._pause(delay)

    async def _request(self, offset: int) -> None:
        """What is missing of a range, or of all. Raises Unreachable where less comes."""
        length = self._ranges.length(offset)
        async with self._client.fetch(
            self._descriptor, offset, length, etag=self._etag, skip=self._skip
        ) as blob:
            self._ranges.answered(blob.partial)
            await self._take(blob)
        wanted = self._ranges.end(offset) if length and blob.partial else self._size
        if self._ingest.offset < wanted:
            came = self._ingest.offset
            raise errors.Unreachable(self._host, f"only {came} of {self._size} bytes came")

    async def _take(self, blob: Blob) -> None:
        self._etag, self._host = blob.etag, blob.host
        if blob.offset != self._ingest.offset:
            await finished(self._ingest.reset)
        async for piece in blob.pieces():
            await self._ranges.ahead(self._ingest.offset, self._etag)
            await self._write(piece)

    async def _write(self, piece: bytes) -> None:
        if not piece:
            return
        came = self._ingest.offset + len(piece)
        if came > self._size:
            raise errors.WrongSize(self._host, self._digest, self._size, came)
        await finished(self._ingest.write, piece)
        self._meter.show(came)

    async def _commit(self) -> None:
        self._on_event(Event(kind="verifying", digest=self._digest, total=self._size))
        try:
            await finished(self._ingest.commit, self._digest, self._size)
        except kinds.InvalidArgument as error:
            actual = str(getattr(error, "actual", "") or "others")
            raise errors.WrongDigest(self._host, self._digest, actual) from error
