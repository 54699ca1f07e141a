"""Where a container's output is kept: the log drivers of a monitor.

    log = logs.make(request.log, loop, on_room)     None: nothing is kept
    log.write(stream, chunk)                        bytes as they were read, stream 1 or 2
    log.full                                        reading should wait until `on_room()` is called
    log.close()

`json_file` writes the files that the engine reads back (also as "local", the same form with other
defaults). The others send each line away; beside them the files are written too, as a cache
to read from, unless the user said no. None of them ever fails a container: what cannot be kept is
dropped, counted and confessed.
"""

from __future__ import annotations

from sampan.kit import errors
from sampan.shim.logs import journald, json_file, syslog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from sampan.shim.loop import Loop
    from sampan.shim.protocol import Log

    class LogDriver(Protocol):
        @property
        def full(self) -> bool: ...
        def write(self, stream: int, chunk: bytes) -> None: ...
        def close(self) -> None: ...


_REMOTE: dict[str, type[journald.Journald] | type[syslog.Syslog]] = {
    "journald": journald.Journald,
    "syslog": syslog.Syslog,
}


class NoReceiver(errors.Unavailable):
    def __init__(self, log: Log, why: OSError) -> None:
        super().__init__(
            f"failed to initialize logging driver: {log.driver}: "
            f"connect {log.address}: {(why.strerror or str(why)).lower()}"
        )


def make(log: Log, loop: Loop, on_room: Callable[[], None]) -> LogDriver | None:
    """Raises NoReceiver where a receiver cannot be reached at the start."""
    file = json_file.JsonFile(log) if log.path else None
    if log.driver not in _REMOTE:
        return file
    try:
        remote = _REMOTE[log.driver](log, loop, on_room)
    except OSError as failure:
        raise NoReceiver(log, failure) from failure
    return remote if file is None else Both(remote, file)


class Both:
    """Two drivers get everything."""

    def __init__(self, first: LogDriver, second: LogDriver) -> None:
        self._drivers = (first, second)

    @property
    def full(self) -> bool:
        return any(driver.full for driver in self._drivers)

    def write(self, stream: int, chunk: bytes) -> None:
        for driver in self._drivers:
            driver.write(stream, chunk)

    def close(self) -> None:
        for driver in self._drivers:
            driver.close()
