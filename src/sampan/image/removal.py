"""Trees of any depth removed.

`shutil.rmtree` goes down by recursion with two descriptors a level; what a container made, a
thousand directories deep, stops it.
"""

from __future__ import annotations

import os

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str, *, dir_fd: int | None = None) -> None:
    """Remove a directory and all below it; nothing is followed. OSError where it cannot be.

    Nobody else may be at work in the tree: the way up is `..`.
    """
    fd = os.open(path, _DIRECTORY, dir_fd=dir_fd)
    way = [("", _empty(fd))]
    try:
        while way:
            name, left = way[-1]
            if left:
                below = left.pop()
                fd = _move(fd, below)
                way.append((below, _empty(fd)))
                continue
            way.pop()
            if way:
                fd = _move(fd, "..")
                os.rmdir(name, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(path, dir_fd=dir_fd)


def _empty(fd: int) -> list[str]:
    """Remove what is no directory; the directories' names."""
    with os.scandir(fd) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            os.unlink(name, dir_fd=fd)
    return [name for name, is_directory in found if is_directory]


def _move(fd: int, name: str) -> int:
    following = os.open(name, _DIRECTORY, dir_fd=fd)
    os.close(fd)
    return following
