"""Several ranges of one blob at once: those behind the one that is being written down come ahead.

A blob is cut at the multiples of SIZE. While `download` takes one range into the blob's ingest,
those behind it come, over connections that no other blob wants, into parts of the store; when it
is their turn they are appended. So the order is kept and who follows the ingest reads on, memory
holds one piece a connection, and a crash costs each connection less than one piece.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sampan.kit import errors as kinds
from sampan.kit.threads import in_thread
from sampan.registry import blobs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import BinaryIO

    from sampan.registry.client import Client
    from sampan.registry.store import Store

SIZE = 16 << 20  # bytes of a range
_WINDOW = 4  # ranges that may wait for their turn


class Ranges:
    def __init__(
        self,
        client: Client,
        store: Store,
        descriptor: dict[str, Any],
        name: str,
        *,
        spare: asyncio.Semaphore,
        skip: int = 0,
    ) -> None:
        self._client, self._store, self._spare, self._skip = client, store, spare, skip
        self._descriptor, self._name = descriptor, name
        self._size: int = descriptor["size"]
        self._coming: dict[int, asyncio.Task[None]] = {}  # by where the range begins
        self._possible = self._size >= 2 * SIZE  # until a host sends all where part was asked for
        self._proven = False
        self.reused = False  # bytes that an earlier try had left

    def answered(self, partial: bool) -> None:
        """What the host made of being asked for a range."""
        self._possible &= partial
        self._proven = self._possible

    def end(self, offset: int) -> int:
        """Where the range ends in which `offset` is."""
        return min(offset - offset % SIZE + SIZE, self._size)

    def length(self, offset: int) -> int | None:
        """How much to ask for at `offset`: what is left of its range, or None, all of the rest."""
        return self.end(offset) - offset if self._possible else None

    async def ahead(self, offset: int, etag: str) -> None:
        """Begin with ranges behind the one of `offset`, as far as connections are to spare."""
        if not self._proven:
            return
        first = self.end(offset)
        for start in range(first, min(first + _WINDOW * SIZE, self._size), SIZE):
            if self._spare.locked():
                return
            if start not in self._coming:
                await self._spare.acquire()  # at once
                task = self._coming[start] = asyncio.create_task(self._fetch(start, etag))
                task.add_done_callback(lambda _: self._spare.release())

    async def _fetch(self, start: int, etag: str) -> None:
        """As much of a range as comes; what is missing then is fetched when its turn has come."""
        try:
            with self._store.part(self._part(start)) as file:
                came = file.tell()
                self.reused |= came > 0
                length = self.end(start) - start - came
                if length > 0:
                    await self._write(file, start + came, length, etag)
        except (kinds.SampanError, OSError):
            pass

    async def _write(self, file: BinaryIO, offset: int, length: int, etag: str) -> None:
        async with self._client.fetch(
            self._descriptor, offset, length, etag=etag, skip=self._skip
        ) as blob:
            if not blob.partial or blob.offset != offset:
                self.answered(partial=False)
                return
            async for piece in blob.pieces():
                await blobs.finished(file.write, piece[:length])
                length -= len(piece)
                if length <= 0:
                    return

    async def take(self, offset: int) -> AsyncIterator[bytes]:
        """What of the range that begins here has come; it is the caller's from now on."""
        if not offset or offset % SIZE:
            return
        if task := self._coming.pop(offset, None):
            await task
        with self._store.part(self._part(offset)) as file:
            self.reused |= task is None and file.tell() > 0
            file.seek(0)
            while piece := await in_thread(file.read, blobs.PIECE):
                yield piece
        self._store.abandon(self._part(offset))

    async def close(self) -> None:
        tasks = list(self._coming.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._coming.clear()

    async def forget(self) -> None:
        """Nothing of what came ahead is of use."""
        await self.close()
        for start in range(SIZE, self._size, SIZE):
            self._store.abandon(self._part(start))

    def _part(self, start: int) -> str:
        return f"{self._name}@{start}"
