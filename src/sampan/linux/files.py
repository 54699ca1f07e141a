"""openat2(2): paths that stay inside a directory, whatever is linked to where."""

from __future__ import annotations

import errno
import os
import stat

from sampan.linux import _libc, c, walk

RESOLVE = walk.RESOLVE


class _OpenHow(c.Structure):
    _fields_ = [
        ("flags", c.c_uint64),
        ("mode", c.c_uint64),
        ("resolve", c.c_uint64),
    ]


def openat2(dir_fd: int, path: str, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """A close-on-exec descriptor of `path` under `dir_fd`; raises OSError with the path."""
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    while True:
        try:
            return _libc.openat2(dir_fd, os.fsencode(path), c.byref(how), c.sizeof(how), path=path)
        except OSError as error:
            if error.errno == errno.ENOSYS:  # Linux before 5.6, or a filter that does not know it
                return walk.open_path(dir_fd, path, flags | os.O_CLOEXEC, resolve)
            # EAGAIN: something was renamed while the kernel looked; it asks to try again
            if error.errno != errno.EAGAIN:
                raise


def executable(path: str) -> bool:
    """By our effective capabilities; access(2) counts none for real ids that are not root's."""
    try:
        return (
            _libc.raw_system_call("faccessat2", 439, -100, os.fsencode(path), os.X_OK, 0x200) == 0
        )
    except OSError:  # also a kernel before 5.8, and a filter that does not know it
        return False


def open_in_root(root: int, path: str, flags: int = os.O_PATH, resolve: int = 0) -> int:
    """Open `path` as if the directory `root` were "/"; magic links lead nowhere."""
    inside = RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS | resolve
    return openat2(root, path.lstrip("/") or ".", flags, 0, inside)


def make_dirs(
    root: int, path: str, *, mode: int = 0o755, resolve: int = 0, _links: int = 40
) -> int:
    """Open the directory `path` inside `root`, made where it is missing, as O_PATH.

    Symbolic links inside the root are followed as the container would follow them; a missing part
    is made by mkdirat in a directory that is already open, so a link swapped in meanwhile cannot
    lead the creation out of the root (CVE-2024-45310).
    """
    flags = os.O_PATH | os.O_DIRECTORY
    try:
        return open_in_root(root, path, flags, resolve)
    except FileNotFoundError:
        pass
    parent, done = os.dup(root), ""
    try:
        for part in filter(None, path.split("/")):
            done = f"{done}/{part}"
            try:
                child = open_in_root(root, done, flags, resolve)
            except FileNotFoundError:
                target = _link(part, parent)
                if target and _links:  # it dangles: make what it means inside the root
                    head = done.rpartition("/")[0]
                    done = target if target.startswith("/") else f"{head}/{target}"
                    child = make_dirs(root, done, mode=mode, resolve=resolve, _links=_links - 1)
                else:
                    _mkdir(part, mode, parent)
                    child = openat2(parent, part, flags | os.O_NOFOLLOW, 0, RESOLVE.BENEATH)
            os.close(parent)
            parent = child
        return os.dup(parent)
    finally:
        os.close(parent)


def _link(name: str, dir_fd: int) -> str:
    try:
        return os.readlink(name, dir_fd=dir_fd)
    except OSError:
        return ""


def _mkdir(name: str, mode: int, dir_fd: int) -> None:
    try:
        os.mkdir(name, mode, dir_fd=dir_fd)
    except FileExistsError:  # somebody else made it
        pass


def make_file(
    root: int, path: str, *, mode: int = 0o644, resolve: int = 0, _links: int = 40
) -> int:
    """Open what stands at `path` inside `root` as O_PATH; an empty file is made if nothing does."""
    try:
        return open_in_root(root, path, resolve=resolve)
    except FileNotFoundError:
        pass
    head, _, name = path.rstrip("/").rpartition("/")
    parent = make_dirs(root, head, resolve=resolve)
    try:
        target = _link(name, parent)
        if target and _links and not resolve & RESOLVE.NO_SYMLINKS:
            # it dangles: make what it means inside the root
            path = target if target.startswith("/") else f"{head}/{target}"
            return make_file(root, path, mode=mode, resolve=resolve, _links=_links - 1)
        try:
            os.mknod(name, mode | stat.S_IFREG, dir_fd=parent)
        except FileExistsError:
            pass
        return openat2(parent, name, os.O_PATH | os.O_NOFOLLOW, 0, RESOLVE.BENEATH)
    finally:
        os.close(parent)


def filesystem(fd: int) -> int:
    """The magic number (statfs(2), f_type) of the file system behind a descriptor."""
    buffer = c.create_string_buffer(256)
    _libc.fstatfs(fd, buffer)
    return c.c_long.from_buffer(buffer).value


def magic(fd: int) -> str:
    """The path that means this descriptor, for calls that take none."""
    return f"/proc/self/fd/{fd}"
