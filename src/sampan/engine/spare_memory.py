"""What large work has freed goes back to the system when the engine is quiet again.

The C library keeps freed memory in the arenas of the threads that took it: an engine of 45 MB had
83 after it had converted, pushed and pulled an image of 350 MB. Of the 45 it keeps 10 from its own
start.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.kit.threads import in_thread
from sampan.linux import heap

if TYPE_CHECKING:
    from sampan.engine.engine import Engine

_QUIET = 1.0  # seconds without such work: the next one would have to take it all again


class SpareMemory:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """The engine runs; what its own start has freed goes, too."""
        self._loop = asyncio.get_running_loop()
        self.wake()

    def wake(self) -> None:
        """Such work has ended."""
        self.stop()
        if self._loop is not None and not self._engine.stopping:
            self._alarm = self._loop.call_later(_QUIET, self._give_back)

    def stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _give_back(self) -> None:
        self._alarm = None
        self._engine.spawn(in_thread(heap.give_back), "giving memory back")
