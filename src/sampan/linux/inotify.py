"""inotify(7): one directory watched for writes, creations and renames.

    with Watch("/some/dir") as watch:
        select([watch], [], [])       # fileno(); readable when something happened
        watch.drain()                 # forget what happened so far
"""

from __future__ import annotations

import os
from ctypes import c_char_p, c_int, c_uint

from sampan.linux import _libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_MODIFY, _MOVED_TO, _CREATE = 0x2, 0x80, 0x100
_NONBLOCK, _CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC

_inotify_init1 = _libc.function("inotify_init1", c_int)
_inotify_add_watch = _libc.function("inotify_add_watch", c_int, c_char_p, c_uint)


class Watch:
    def __init__(self, directory: str) -> None:
        self._fd = _inotify_init1(_NONBLOCK | _CLOEXEC)
        try:
            mask = _MODIFY | _MOVED_TO | _CREATE
            _inotify_add_watch(self._fd, os.fsencode(directory), mask, path=directory)
        except BaseException:
            os.close(self._fd)
            raise

    def fileno(self) -> int:
        return self._fd

    def drain(self) -> None:
        try:
            while os.read(self._fd, 4096):
                pass
        except BlockingIOError:
            pass

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
