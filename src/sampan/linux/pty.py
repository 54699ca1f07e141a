"""Terminals: a pair from a given devpts instance, sizes, raw mode."""

from __future__ import annotations

import fcntl
import os
import struct

TCGETS, TCSETS, ONLCR = 0x5401, 0x5402, 4
TIOCGWINSZ, TIOCSWINSZ, TIOCSCTTY = 0x5413, 0x5414, 0x540E
TIOCSPTLCK, TIOCGPTPEER, TIOCGPTN = 0x40045431, 0x5441, 0x80045430
_SIZE = struct.Struct("HHHH")


def open_pair(ptmx: str | int) -> tuple[int, int, str]:
    """(master, other side, its name such as `/dev/pts/0`) from the ptmx device given.

    The other side comes from the master itself (TIOCGPTPEER, ioctl_tty(2)), never by its name: a
    container may have put something else at that place (CVE-2025-52565).
    """
    path = f"/proc/self/fd/{ptmx}" if isinstance(ptmx, int) else ptmx
    master = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(master, TIOCSPTLCK, b"\0\0\0\0")
        number = struct.unpack("I", fcntl.ioctl(master, TIOCGPTN, b"\0\0\0\0"))[0]
        flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
        return master, fcntl.ioctl(master, TIOCGPTPEER, flags), f"/dev/pts/{number}"
    except BaseException:
        os.close(master)
        raise


def set_size(fd: int, rows: int, columns: int) -> None:
    fcntl.ioctl(fd, TIOCSWINSZ, _SIZE.pack(rows, columns, 0, 0))


def plain_newlines(fd: int) -> None:
    """Let the terminal write "\\n" as it is, for a reader that may be no terminal."""
    settings = bytearray(fcntl.ioctl(fd, TCGETS, bytes(60)))
    flags = int.from_bytes(settings[4:8], "little") & ~ONLCR  # the second word: c_oflag
    settings[4:8] = flags.to_bytes(4, "little")
    fcntl.ioctl(fd, TCSETS, bytes(settings))


def size(fd: int) -> tuple[int, int]:
    """(rows, columns)"""
    rows, columns, _, _ = _SIZE.unpack(fcntl.ioctl(fd, TIOCGWINSZ, bytes(8)))
    return rows, columns


def make_controlling(fd: int) -> None:
    """Make this terminal the session's own; the caller leads the session and has none yet."""
    fcntl.ioctl(fd, TIOCSCTTY, 0)
