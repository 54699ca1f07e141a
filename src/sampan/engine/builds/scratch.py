"""A build's own directory, `root/build/tmp/…`: gone when the build ends, however it ends.

A lock on the directory says that its build lives; what a killed engine left has none, and the next
build removes it, the mounts in it first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sampan.image import layers, mounting

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def directory(root: str) -> Iterator[str]:
    parent = f"{root}/build/tmp"
    os.makedirs(parent, mode=0o711, exist_ok=True)
    sweep(root)
    place, lock = _locked(parent)
    try:
        yield place
    finally:
        remove(place)
        os.close(lock)


def _locked(parent: str) -> tuple[str, int]:
    """A new directory, and the lock on it."""
    while True:
        place = tempfile.mkdtemp(dir=parent)
        try:
            lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:  # another build has swept it away
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(place):
            return place, lock
        os.close(lock)


def sweep(root: str) -> None:
    parent = f"{root}/build/tmp"
    for name in os.listdir(parent) if os.path.isdir(parent) else ():
        try:
            lock = os.open(f"{parent}/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(f"{parent}/{name}")
        except BlockingIOError:
            pass  # its build runs
        finally:
            os.close(lock)


def remove(place: str) -> None:
    """A directory with what is mounted in it, which is let go first."""
    for below in _mounted(os.path.realpath(place)):
        with contextlib.suppress(OSError):
            mounting.detach(below)
    layers.discard(place)


def _mounted(place: str) -> list[str]:
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as table:
        for line in table:
            point = line.split(" ", 5)[4].replace("\\040", " ")
            if point.startswith(f"{place}/"):
                found.append(point)
    return sorted(found, key=len, reverse=True)
