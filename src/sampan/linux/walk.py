"""openat2(2) in Python, for kernels and sandboxes that do not have it: one component at a time.

Every directory on the way is held open as O_PATH|O_NOFOLLOW, `..` goes back to the one that was
open before, and a link is read and its text walked the same way. So whatever is renamed meanwhile,
the walk never stands outside of the directory that it began in. Magic links (proc(5)) are taken for
the text they show.
"""

from __future__ import annotations

import errno
import os
import stat


class RESOLVE:
    """The `resolve` of openat2(2)."""

    NO_XDEV = 0x01
    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04
    BENEATH = 0x08
    IN_ROOT = 0x10


_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def open_path(dir_fd: int, path: str, flags: int, resolve: int) -> int:
    """As `files.openat2`; `flags` may not create."""
    if path.startswith("/") and not resolve & (RESOLVE.IN_ROOT | RESOLVE.BENEATH):
        top = os.open("/", _STEP)
    else:
        top = os.open(".", _STEP) if dir_fd == -100 else os.open(".", _STEP, dir_fd=dir_fd)
    trail = [top]
    try:
        found = _walk(trail, path, flags, resolve)
    finally:
        for fd in trail:
            os.close(fd)
    if flags & os.O_PATH:
        return found
    try:  # the file is certain: only how it is opened is left
        return os.open(f"/proc/self/fd/{found}", flags & ~os.O_NOFOLLOW)
    finally:
        os.close(found)


def _walk(trail: list[int], path: str, flags: int, resolve: int) -> int:
    """The last component as O_PATH; `trail` is the open directories down to it."""
    parts = path.split("/")[::-1]
    links = 0
    mount = _mount(trail[0]) if resolve & RESOLVE.NO_XDEV else ""
    _check_absolute(path, resolve)
    while parts:
        name = parts.pop()
        if name in ("", "."):
            continue
        if name == "..":
            _up(trail, path, resolve)
            continue
        try:
            fd = os.open(name, _STEP, dir_fd=trail[-1])
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None
        if mount and _mount(fd) != mount:
            os.close(fd)
            raise _error(errno.EXDEV, path)
        last = not any(part not in ("", ".") for part in parts)
        if stat.S_ISLNK(os.fstat(fd).st_mode) and not (last and flags & os.O_NOFOLLOW):
            target = os.readlink("", dir_fd=fd)
            os.close(fd)
            links += 1
            if resolve & RESOLVE.NO_SYMLINKS or links > 40:
                raise _error(errno.ELOOP, path)
            _check_absolute(target, resolve)
            if target.startswith("/"):
                _restart(trail, resolve)
            parts.extend(target.split("/")[::-1])
            continue
        trail.append(fd)
    if flags & os.O_DIRECTORY and not stat.S_ISDIR(os.fstat(trail[-1]).st_mode):
        raise _error(errno.ENOTDIR, path)
    return os.dup(trail[-1])


def _up(trail: list[int], path: str, resolve: int) -> None:
    if len(trail) > 1:
        os.close(trail.pop())
    elif resolve & RESOLVE.BENEATH:
        raise _error(errno.EXDEV, path)
    elif not resolve & RESOLVE.IN_ROOT:
        above = os.open("..", _STEP, dir_fd=trail[0])
        os.close(trail[0])
        trail[0] = above


def _check_absolute(path: str, resolve: int) -> None:
    if path.startswith("/") and resolve & RESOLVE.BENEATH:
        raise _error(errno.EXDEV, path)


def _restart(trail: list[int], resolve: int) -> None:
    """An absolute link: back to the root, which is where the walk began with IN_ROOT."""
    while len(trail) > 1:
        os.close(trail.pop())
    if not resolve & RESOLVE.IN_ROOT:
        os.close(trail[0])
        trail[0] = os.open("/", _STEP)


def _mount(fd: int) -> str:
    """The id of the mount behind a descriptor (proc(5), fdinfo)."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="utf-8") as file:
        return next((line for line in file if line.startswith("mnt_id:")), "")


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
