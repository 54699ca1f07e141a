"""Files on a disk as members of a tar."""

from __future__ import annotations

import os
import stat

from sampan.image.tar.entry import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMLINK,
    Entry,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.image.tar.writing import Writer


def write_tree(writer: Writer, root: str, name: str = "", *, under: str = "") -> None:
    """Add a path and all below it, as `name` inside the archive (default: relative to `root`).

    Hard links among the files stay links; sockets are left out; nothing is followed.
    """
    seen: dict[tuple[int, int], str] = {}
    _write_path(writer, f"{root}/{under}".rstrip("/") or "/", name, seen)


def _write_path(writer: Writer, path: str, name: str, seen: dict[tuple[int, int], str]) -> None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode):
        write_one(writer, path, name, status, seen)
        return
    if name:
        writer.begin(entry_of(path, name, status))
    for child in sorted(os.listdir(path)):
        inside = f"{name.rstrip('/')}/{child}" if name else child
        _write_path(writer, f"{path.rstrip('/')}/{child}", inside, seen)


def write_one(
    writer: Writer,
    path: str,
    name: str,
    status: os.stat_result,
    seen: dict[tuple[int, int], str],
) -> None:
    """Add what is no directory. `seen` maps (device, inode) to the name a hard link goes to."""
    if stat.S_ISSOCK(status.st_mode):
        return
    entry = entry_of(path, name, status)
    if status.st_nlink > 1:
        first = seen.setdefault((status.st_dev, status.st_ino), name)
        if first != name:
            entry.kind, entry.link, entry.size, entry.xattrs = HARD_LINK, first, 0, {}
    if entry.kind != REGULAR:
        writer.begin(entry)
        return
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return  # gone since it was listed
    try:
        writer.add_file(entry, fd, _head(writer, path, fd))
    finally:
        os.close(fd)


def _head(writer: Writer, path: str, fd: int) -> bytes:
    if writer.latest is None or not path.endswith(".pyc"):
        return b""
    from sampan.image.tar import bytecode

    return bytecode.head(path, fd, writer.latest)


_KINDS = {
    stat.S_IFREG: REGULAR,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK_DEVICE,
}


def entry_of(path: str, name: str, status: os.stat_result) -> Entry:
    """What a file is, as a member: kind, attributes, link target, extended attributes."""
    mode = status.st_mode
    kind = _KINDS.get(stat.S_IFMT(mode), FIFO)
    entry = Entry(name, kind, mode=stat.S_IMODE(mode))
    entry.uid, entry.gid, entry.mtime = status.st_uid, status.st_gid, status.st_mtime_ns
    if kind == REGULAR:
        entry.size = status.st_size
    elif kind == SYMLINK:
        entry.link = os.readlink(path)
    elif kind in (CHARACTER, BLOCK_DEVICE):
        entry.device = (os.major(status.st_rdev), os.minor(status.st_rdev))
    if kind in (REGULAR, DIRECTORY):
        entry.xattrs = xattrs(path)
    return entry


def xattrs(path: str) -> dict[str, bytes]:
    """Those an image carries; overlayfs's own and the host's labels stay behind."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    wanted = [n for n in names if n == "security.capability" or n.startswith("user.")]
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in wanted}
