"""inotify(7): be told when files change.

    fd = inotify.create()
    inotify.add_watch(fd, "/var/log/x", inotify.IN.MODIFY)
    for event in inotify.read(fd): ...     # blocks until there is one; [] on a non-blocking fd

The descriptor works with select, epoll and asyncio's `add_reader`.
"""

from __future__ import annotations

import enum
import os
import struct
from ctypes import c_char_p, c_int, c_uint32

from sampan.kit.record import Record
from sampan.linux import _libc

_EVENT = struct.Struct("iIII")  # wd, mask, cookie, length of the name

_init = _libc.function("inotify_init1", c_int)
_add = _libc.function("inotify_add_watch", c_int, c_char_p, c_uint32)
_remove = _libc.function("inotify_rm_watch", c_int, c_int)


class IN(enum.IntFlag):
    """Events and flags of inotify(7)."""

    ACCESS = 0x1
    MODIFY = 0x2
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    CLOSE_NOWRITE = 0x10
    OPEN = 0x20
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    UNMOUNT = 0x2000
    Q_OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x0100_0000
    DONT_FOLLOW = 0x0200_0000
    MASK_ADD = 0x2000_0000
    ISDIR = 0x4000_0000
    ONESHOT = 0x8000_0000


class Event(Record):
    wd: int  # -1 with Q_OVERFLOW: events were lost
    mask: IN
    cookie: int  # joins MOVED_FROM and MOVED_TO
    name: str  # inside a watched directory; "" for the watched thing itself


def create(*, blocking: bool = False) -> int:
    """A new close-on-exec descriptor; non-blocking unless asked."""
    return _init(os.O_CLOEXEC | (0 if blocking else os.O_NONBLOCK))


def add_watch(fd: int, path: str, mask: IN) -> int:
    """Watch `path`; returns the `wd` its events carry. Raises OSError with the path."""
    return _add(fd, os.fsencode(path), mask, path=path)


def remove_watch(fd: int, wd: int) -> None:
    _remove(fd, wd)


def read(fd: int) -> list[Event]:
    """All that happened; on a non-blocking descriptor [] when nothing did."""
    try:
        return decode(os.read(fd, 65536))
    except BlockingIOError:
        return []


def decode(data: bytes) -> list[Event]:
    events, at = [], 0
    while at < len(data):
        wd, mask, cookie, size = _EVENT.unpack_from(data, at)
        at += _EVENT.size
        name = os.fsdecode(data[at : at + size].rstrip(b"\0"))
        events.append(Event(wd=wd, mask=IN(mask), cookie=cookie, name=name))
        at += size
    return events
