"""Files with all that belongs to them: owner, mode, times, extended attributes, links.

    linked = {}
    tree("/from", "/to", linked)        blocking: call in a thread

Data is shared with the original where the file system can (FICLONE, ioctl_ficlone(2)).
"""

from __future__ import annotations

import fcntl
import os
import stat

from sampan.image import tar

TYPE_CHECKING = False
if TYPE_CHECKING:
    Linked = dict[tuple[int, int], str]  # (device, inode) → the first copy

_NEW_FILE = os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_CLOEXEC
_CHUNK = 1 << 24
_FICLONE = 0x40049409


def tree(source: str, target: str, linked: Linked) -> None:
    """All that is in the directory `source`, into the directory `target`, and its attributes."""
    for name in sorted(os.listdir(source)):
        path, made = f"{source}/{name}", f"{target}/{name}"
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(made, 0o700)
            tree(path, made, linked)
        else:
            file(path, made, status, linked)
    attributes(source, target)


def file(path: str, made: str, status: os.stat_result, linked: Linked) -> None:
    """What is no directory; a further name of what was copied already becomes a link."""
    first = linked.setdefault((status.st_dev, status.st_ino), made)
    if first != made:
        os.link(first, made, follow_symlinks=False)
        return
    if stat.S_ISREG(status.st_mode):
        _data(path, made, status.st_size)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(path), made)
    else:
        os.mknod(made, status.st_mode, status.st_rdev)
    attributes(path, made)


def _data(path: str, made: str, size: int) -> None:
    source = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        target = os.open(made, _NEW_FILE, 0o600)
        try:
            if not _reflinked(target, source):
                while size > 0 and (count := os.sendfile(target, source, None, min(size, _CHUNK))):
                    size -= count
        finally:
            os.close(target)
    finally:
        os.close(source)


def _reflinked(target: int, source: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:  # EOPNOTSUPP, EXDEV, EINVAL: copy it
        return False
    return True


def attributes(path: str, made: str) -> None:
    status = os.lstat(path)
    os.lchown(made, status.st_uid, status.st_gid)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(made, stat.S_IMODE(status.st_mode))
        tar.set_xattrs(made, tar.entry_of(path, "", status))
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(made, ns=times, follow_symlinks=False)
