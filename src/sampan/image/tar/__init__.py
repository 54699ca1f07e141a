"""tar streams, read and written as they flow: ustar, GNU long names and base-256, PAX.

    for entry in read(source):              an Entry; its data is taken before the next
        source.copy_to(fd, entry.size)
    writer = Writer(write); writer.add(entry, data)

Names are text in which bytes that are no UTF-8 stand as surrogates (os.fsencode gives them back).
A sparse member has its map in `entry.sparse`, and `entry.size` bytes of data. pax(1), tar(5).
"""

from __future__ import annotations

from sampan.image.tar.entry import (
    BLOCK,
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMLINK,
    Entry,
    set_xattrs,
    write_data,
)
from sampan.image.tar.reading import read
from sampan.image.tar.source import Source, TarError
from sampan.image.tar.trees import entry_of, write_one, write_tree, xattrs
from sampan.image.tar.writing import Writer

__all__ = [
    "BLOCK",
    "BLOCK_DEVICE",
    "CHARACTER",
    "DIRECTORY",
    "FIFO",
    "HARD_LINK",
    "REGULAR",
    "SYMLINK",
    "Entry",
    "Source",
    "TarError",
    "Writer",
    "entry_of",
    "read",
    "set_xattrs",
    "write_data",
    "write_one",
    "write_tree",
    "xattrs",
]
