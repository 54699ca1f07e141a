"""A member of a tar, and what it means for a file that is there already."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.image import sparse
    from sampan.image.tar.source import Source

REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = range(7)
BLOCK = 512  # bytes
XATTR = "SCHILY.xattr."  # and the attribute's name: a key in a PAX header


class Entry:
    """One member. `link` is a link's target; `device` (major, minor).

    `size` counts the bytes of data in the archive. Of a sparse file they are the pieces of
    `sparse`, [(offset, length), …], and `true_size` is what the file measures.
    """

    __slots__ = (
        "device", "gid", "kind", "link", "mode", "mtime", "name", "size", "sparse", "true_size",
        "uid", "xattrs",
    )  # fmt: skip

    def __init__(self, name: str, kind: int = REGULAR, *, mode: int = 0o644, size: int = 0) -> None:
        self.name, self.kind, self.mode, self.size = name, kind, mode, size
        self.uid = self.gid = self.mtime = 0  # mtime in nanoseconds
        self.link = ""
        self.device = (0, 0)
        self.xattrs: dict[str, bytes] = {}
        self.sparse: sparse.Map | None = None
        self.true_size = size


def write_data(entry: Entry, fd: int, source: Source) -> None:
    """A regular member's data into an empty file; a sparse one gets its holes."""
    if entry.sparse is None:
        source.copy_to(fd, entry.size)
        return
    for offset, length in entry.sparse:
        os.lseek(fd, offset, os.SEEK_SET)
        source.copy_to(fd, length)
    os.ftruncate(fd, entry.true_size)


def set_xattrs(file: int | str, entry: Entry) -> None:
    """A member's extended attributes, as far as the file system takes them."""
    for key, value in entry.xattrs.items():
        if key.startswith("trusted.overlay."):
            continue  # overlayfs's own language is not for images to speak
        try:
            os.setxattr(file, key, value)
        except OSError as error:
            if error.errno not in (95, 1):  # EOPNOTSUPP, EPERM: as GNU tar, go on without
                raise
