"""A blob read while it is still being written: `read` waits for bytes that have not come yet.

    with Following(store.coming(name), size) as file: …

Nobody has checked these bytes. Whoever reads them checks what comes out (a layer's diff_id), and
when that is wrong, or the writer starts again, reads the finished blob instead.
"""

from __future__ import annotations

import os
import select

from sampan.kit import errors
from sampan.linux import inotify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_PATIENCE = 1.0  # seconds until it is asked whether anybody still waits for us


class Following:
    def __init__(self, path: str, size: int) -> None:
        self._left, self._offset, self._parent = size, 0, os.getppid()
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._changes = inotify.create()
        inotify.add_watch(self._changes, f"/proc/self/fd/{self._fd}", inotify.IN.MODIFY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        os.close(self._changes)

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, none at the end. Raises Unavailable where no more will come."""
        while self._left:
            if part := os.read(self._fd, min(count, self._left)):
                self._left -= len(part)
                self._offset += len(part)
                return part
            status = os.fstat(self._fd)
            if status.st_size < self._offset or not status.st_nlink:
                raise errors.Unavailable("what was read of a layer is no longer what is coming")
            self._wait()
        return b""

    def _wait(self) -> None:
        news = select.select([self._changes], [], [], _PATIENCE)[0]
        if not news and os.getppid() != self._parent:
            raise errors.Unavailable("nobody waits for this layer any more")
        inotify.read(self._changes)
