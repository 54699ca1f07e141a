"""Compiled Python, whose source becomes older on its way into an archive.

A .pyc says when its source was changed (PEP 552: magic, flags, time, size, four bytes each), and is
good for nothing else. Where an archive has no member younger than a given time, it has to name that
time, too: or every start of the program would compile its modules again.
"""

from __future__ import annotations

import os
import posixpath

_HEAD = 16  # bytes
_BY_TIME = bytes(4)  # flags; else it is its source's hash that counts


def head(path: str, fd: int, latest: int) -> bytes:
    """The first bytes of a .pyc as it is to be kept; none where it stays as it is."""
    found = os.pread(fd, _HEAD, 0)
    if len(found) < _HEAD or found[2:4] != b"\r\n" or found[4:8] != _BY_TIME:
        return b""
    try:
        changed = int(os.lstat(_source(path)).st_mtime)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    known = (changed & 0xFFFFFFFF).to_bytes(4, "little")
    if changed <= latest or known != found[8:12]:
        return b""
    return found[:8] + (latest & 0xFFFFFFFF).to_bytes(4, "little") + found[12:]


def _source(path: str) -> str:
    """PEP 3147: `__pycache__/NAME.TAG.pyc`, or NAME.pyc beside it."""
    directory, name = posixpath.split(path)
    if posixpath.basename(directory) == "__pycache__":
        return f"{posixpath.dirname(directory)}/{name.split('.', 1)[0]}.py"
    return path[:-1]
