"""A lazy layer's bytes: what a reader misses is fetched at once, the rest behind.

`fetch(start, length)` gives bytes of the blob. What several readers miss is fetched once; small
files bring their neighbours. The background begins nothing while a reader waits, and a reader does
not wait for what the background has begun: it fetches the little that it needs itself.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sampan.image.lazy.filling import Filling

    Fetch = Callable[[int, int], Awaitable[bytes]]

AHEAD = 256 << 10  # bytes of the blob that one request of a reader brings at least
BEHIND = 4 << 20  # bytes of one request of the background


class Source:
    def __init__(self, filling: Filling, fetch: Fetch) -> None:
        self._filling, self._fetch = filling, fetch
        self._coming: dict[int, asyncio.Task[None]] = {}  # by span, for readers
        self._behind: set[int] = set()  # spans that the background has begun
        self._readers = 0
        self._alone = asyncio.Event()  # no reader waits
        self._alone.set()

    def at_hand(self, offset: int, size: int) -> bytes | None:
        """Bytes of the layer file that need no waiting."""
        if self._filling.missing(offset, size):
            return None
        return self._filling.read(offset, size)

    async def read(self, offset: int, size: int) -> bytes:
        """Raises what `fetch` does, WrongBytes, OSError."""
        self._readers += 1
        self._alone.clear()
        try:
            if missing := self._filling.missing(offset, size):
                await self._bring(missing)
        finally:
            self._readers -= 1
            if not self._readers:
                self._alone.set()
        return self._filling.read(offset, size)

    async def complete(self) -> bool:
        """Fetch all that is missing; False where the layer was removed meanwhile."""
        while (first := self._filling.has.find(0)) >= 0:
            await self._alone.wait()
            if await in_thread(self._filling.gone):
                return False
            if first in self._coming:
                await asyncio.wait([self._coming[first]])
                continue
            run = self._longer([first], BEHIND)
            self._behind.update(run)
            try:
                await self._bring_run(run)
            finally:
                self._behind.clear()
        return True

    async def _bring(self, numbers: list[int]) -> None:
        """Returns when all are here; raises the first failure when none is under way any more."""
        tasks = {self._coming[number] for number in numbers if number in self._coming}
        for run in self._runs([n for n in numbers if n not in self._coming]):
            task = asyncio.create_task(self._bring_for_readers(run))
            tasks.add(task)
            for number in run:
                self._coming[number] = task
        await asyncio.wait(tasks)
        for task in tasks:
            task.result()

    def _runs(self, numbers: list[int]) -> Iterator[list[int]]:
        """Neighbours together, each run made longer by what follows until it is worth a request."""
        last = -1
        for part in _neighbours(numbers):
            if run := [number for number in part if number > last]:
                yield self._longer(run, AHEAD)
                last = run[-1]

    def _longer(self, run: list[int], least: int) -> list[int]:
        spans, has = self._filling.plan.spans, self._filling.has
        following = run[-1] + 1
        while (
            following < len(spans)
            and spans[following].end - spans[run[0]].start <= least
            and not has[following]
            and following not in self._coming
            and following not in self._behind
        ):
            run.append(following)
            following += 1
        return run

    async def _bring_for_readers(self, run: list[int]) -> None:
        try:
            await self._bring_run(run)
        finally:
            for number in run:
                del self._coming[number]

    async def _bring_run(self, run: list[int]) -> None:
        spans = self._filling.plan.spans
        left = await in_thread(self._not_recalled, run)
        for part in _neighbours(left):
            start = spans[part[0]].start
            data = await self._fetch(start, spans[part[-1]].end - start)
            await in_thread(self._accept, part, data)

    def _not_recalled(self, run: list[int]) -> list[int]:
        return [number for number in run if not self._filling.recall(number)]

    def _accept(self, run: list[int], data: bytes) -> None:
        spans = self._filling.plan.spans
        start = spans[run[0]].start
        for number in run:
            span = spans[number]
            if not self._filling.has[number]:
                self._filling.accept(number, data[span.start - start : span.end - start])


def _neighbours(numbers: list[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for number in numbers:
        if run and number != run[-1] + 1:
            yield run
            run = []
        run.append(number)
    if run:
        yield run
