"""Docker's progress messages out of the registry room's events.

    async with Teller(report, words) as tell:
        await distribution.pull(…, on_event=tell)

Events come as plain calls from within a transfer; they are sent in order by a task of their own,
so that a slow client never holds a transfer up: of the bars that wait, only a layer's last is sent.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import TracebackType

    from sampan.engine.images import Report
    from sampan.registry.events import Event

PULL = {
    "layer": "Pulling fs layer",
    "exists": "Already exists",
    "transferring": "Downloading",
    "verifying": "Verifying Checksum",
    "transferred": "Download complete",
    "complete": "Pull complete",
}
PUSH = {
    "layer": "Preparing",
    "exists": "Layer already exists",
    "mounted": "Mounted from {message}",
    "transferring": "Pushing",
    "transferred": "Pushed",
}


class Teller:
    def __init__(self, report: Report, words: dict[str, str]) -> None:
        self._report, self._words = report, words
        self._waiting: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._layers: set[str] = set()
        self._there: set[str] = set()
        self._ended = False

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._send())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self._ended = True
        self._news.set()
        if kind is not None and issubclass(kind, asyncio.CancelledError):
            self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def __call__(self, event: Event) -> None:
        if event.kind == "layer":
            self._layers.add(event.digest)
        elif event.digest and event.digest not in self._layers and event.kind != "exists":
            return  # a config's way is nobody's business
        if event.kind == "exists":
            self._there.add(event.digest)
            if not self._layers:  # nothing is on its way: Docker says no word of layers
                return
        elif event.kind == "complete" and event.digest in self._there:
            return
        words = self._words.get(event.kind)
        if words is not None:
            self.say(message(event, words.format(message=event.message)))
        elif event.kind in ("retrying", "warning"):
            self.say({"status": event.message})

    def say(self, told: dict[str, Any]) -> None:
        last = self._waiting[-1] if self._waiting else None
        if last and "progress" in last and "progress" in told and last["id"] == told["id"]:
            self._waiting[-1] = told
        else:
            self._waiting.append(told)
        self._news.set()

    async def _send(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                await self._report(self._waiting.pop(0))
            if self._ended:
                return


def message(event: Event, words: str) -> dict[str, Any]:
    """One of Docker's progress messages."""
    told: dict[str, Any] = {"status": words, "progressDetail": {}}
    told["id"] = event.digest.partition(":")[2][:12]
    if event.total and event.current:
        told["progressDetail"] = {"current": event.current, "total": event.total}
        told["progress"] = bar(event.current, event.total)
    return told


def bar(current: int, total: int) -> str:
    """`[=====>     ]  1.2MB/3.4MB`, fifty wide, as Docker's clients expect it."""
    done = min(50 * current // total, 50)
    arrow = ("=" * (done - 1) + ">" if done else "").ljust(50)
    return f"[{arrow}]  {_size(current)}/{_size(total)}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.4g}{unit}"
        count /= 1000
    return f"{count:.4g}TB"
