"""Files that are either the old one or the new one, never half of it."""

from __future__ import annotations

import os


def write(path: str, data: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
    """Replace `path` by `data`: written beside it, fsynced, renamed over it.

    `sync=False` leaves out both fsyncs, for what need not survive a power cut.
    """
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.{os.getpid()}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        try:
            os.fchmod(fd, mode)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    if sync:
        sync_directory(directory)


def sync_directory(path: str) -> None:
    """Make the names in a directory survive a power cut, as fsync(2) asks."""
    fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
