"""`tmpcopyup`: a tmpfs begins with a copy of what it covers.

Both sides are walked by descriptor and no link is followed, so nothing outside of the two trees is
read or written. Owners, permissions, times, extended attributes, links and special files are kept;
a hard link becomes two files.
"""

from __future__ import annotations

import os
import stat


def copy(covered: int, tree: int) -> None:
    """Copy all below the directory `covered` into `tree`; both are descriptors (O_PATH)."""
    source = os.open(f"/proc/self/fd/{covered}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    target = os.open(f"/proc/self/fd/{tree}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _copy_directory(source, target)
        found = os.fstat(source)
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    finally:
        os.close(source)
        os.close(target)


def _copy_directory(source: int, target: int) -> None:
    for name in os.listdir(source):
        found = os.stat(name, dir_fd=source, follow_symlinks=False)
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFLNK:
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)
        elif kind == stat.S_IFDIR:
            os.mkdir(name, 0o700, dir_fd=target)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(name, flags, dir_fd=source)
            made = os.open(name, flags, dir_fd=target)
            _copy_directory(below, made)
            _finish(below, made, found)
        elif kind == stat.S_IFREG:
            flags = os.O_NOFOLLOW | os.O_CLOEXEC
            below = os.open(name, os.O_RDONLY | flags, dir_fd=source)
            made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | flags, 0o600, dir_fd=target)
            _copy_bytes(below, made)
            _finish(below, made, found)
        else:
            os.mknod(name, found.st_mode, found.st_rdev, dir_fd=target)
            os.chown(name, found.st_uid, found.st_gid, dir_fd=target, follow_symlinks=False)


def _copy_bytes(source: int, target: int) -> None:
    while os.sendfile(target, source, None, 1 << 30):
        pass


def _finish(source: int, target: int, found: os.stat_result) -> None:
    os.fchown(target, found.st_uid, found.st_gid)
    os.fchmod(target, stat.S_IMODE(found.st_mode))
    for key in os.listxattr(source):
        try:
            os.setxattr(target, key, os.getxattr(source, key))
        except OSError:  # a tmpfs may not know this kind (user.*, before Linux 6.6)
            continue
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    os.close(source)
    os.close(target)
