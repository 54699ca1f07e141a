"""An epoll loop with callbacks: all the concurrency a monitor has.

A callback gets the event mask of epoll(7). It may be called once for a descriptor that was
forgotten and reopened in the same round, so every read and write must be non-blocking.
"""

from __future__ import annotations

import select
import time
from select import EPOLLERR as ERR
from select import EPOLLHUP as HUP
from select import EPOLLIN as IN
from select import EPOLLOUT as OUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ERR", "HUP", "IN", "OUT", "Loop", "is_readable"]


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._running = True

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call back on `events`, and on HUP and ERR always; replaces an earlier watch."""
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def forget(self, fd: int) -> None:
        """Before the descriptor is closed; one that is not watched is no error."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timers.append((time.monotonic() + seconds, callback))

    def run(self) -> None:
        """Until `stop`, which may have come before."""
        while self._running:
            for fd, events in self._epoll.poll(self._patience()):
                callback = self._callbacks.get(fd)
                if callback is not None:
                    callback(events)
            if self._timers:
                self._ring()

    def stop(self) -> None:
        self._running = False

    def close(self) -> None:
        self._callbacks.clear()
        self._epoll.close()

    def _patience(self) -> float | None:
        if not self._timers:
            return None
        return max(0.0, min(when for when, _ in self._timers) - time.monotonic())

    def _ring(self) -> None:
        now = time.monotonic()
        due = [timer for timer in self._timers if timer[0] <= now]
        self._timers = [timer for timer in self._timers if timer[0] > now]
        for _, callback in due:
            callback()


def is_readable(fd: int) -> bool:
    """Now, without waiting."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
