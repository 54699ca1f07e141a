"""The tar on its way to the disk, past the page cache where the file system can.

Half a gigabyte of layer is read by nobody for now: written directly it pushes nothing out of
memory, and nothing is left to wait for at the end (docs/decisions/0005).
"""

from __future__ import annotations

import fcntl
import mmap
import os

_STAGE = 1 << 20  # bytes written at once
_ALIGNED = 4096  # what any device takes


class Keeper:
    """`write` the chunks, then `finish`: they are at `start` of the file, which must be aligned."""

    def __init__(self, fd: int, start: int) -> None:
        self._fd, self._at = fd, start
        self._stage = mmap.mmap(-1, _STAGE)  # page-aligned, as direct writes must be
        self._used = 0
        self._direct = _set_direct(fd, on=True)

    def write(self, chunk: bytes | bytearray) -> None:
        view = memoryview(chunk)
        while view:
            count = min(len(view), _STAGE - self._used)
            self._stage[self._used : self._used + count] = view[:count]
            self._used += count
            view = view[count:]
            if self._used == _STAGE:
                self._flush(_STAGE)

    def _flush(self, count: int) -> None:
        view = memoryview(self._stage)
        try:
            write(self._fd, view[:count], self._at)
        finally:
            view.release()
        self._at += count
        self._used -= count

    def finish(self) -> None:
        """Also after an error: the file is an ordinary one again."""
        whole = self._used - self._used % _ALIGNED
        rest = self._stage[whole : self._used]
        try:
            self._used = whole
            if whole:
                self._flush(whole)
            if self._direct:
                _set_direct(self._fd, on=False)
            write(self._fd, rest, self._at)
        finally:
            self._stage.close()


def write(fd: int, data: bytes | memoryview, at: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, at)
        view, at = view[count:], at + count


def _set_direct(fd: int, *, on: bool) -> bool:
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    flags = flags | os.O_DIRECT if on else flags & ~os.O_DIRECT
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, flags)
    except OSError:  # EINVAL: not on this file system
        return False
    return on
