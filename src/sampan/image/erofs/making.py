"""A layer file made while its tar is being written, by who writes the tar.

    making.put(entry, data)       a member, as `tar.Writer` tells of it
    making.write(block)           the tar's bytes; any thread, one at a time
    making.arrange(); making.complete()      all of it is written
    making.publish(chain_id, parent)         visible
    making.close()                what is not visible goes

Nothing is inflated or parsed again, and the bytes on the disk are those that unpacking the tar
would give: the tar goes through the same `keep`, its members through the same `tree` and `index`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.image.erofs import index
from sampan.image.erofs.keep import Keeper, write
from sampan.image.erofs.tree import Tree
from sampan.image.unpack import Unpacked

if TYPE_CHECKING:
    from sampan.image import tar
    from sampan.image.layers import Unfinished

_PAGE = 4096


class Making:
    def __init__(self, new: Unfinished, fd: int) -> None:
        """`fd` is the empty layer file; it is closed here."""
        self._new, self._fd = new, fd
        self._tree: Tree | None = Tree()
        self._keeper = Keeper(fd, index.RESERVE)
        self._written = 0
        self._index = b""
        self._hides_all = False
        self._done = Unpacked(diff_id="", size=0, entries=0)

    def put(self, entry: tar.Entry, data: int) -> None:
        """Raises Trap, TarError."""
        # As it will be read: a header's records are sorted, and a file is as large as its data.
        entry.true_size = entry.size
        if len(entry.xattrs) > 1:
            entry.xattrs = dict(sorted(entry.xattrs.items()))
        assert self._tree is not None
        self._tree.put(entry, data)

    def write(self, block: bytes | bytearray) -> None:
        self._keeper.write(block)
        self._written += len(block)

    def arrange(self, written: int) -> None:
        """Make the index of a tar of so many bytes, while the last of them may still be on their
        way. Raises TooLarge."""
        assert self._tree is not None
        tree, self._tree = self._tree, None  # its memory goes with it
        self._index = index.pack(tree, {}, index.RESERVE + written)
        self._hides_all = tree.root.opaque
        self._done = Unpacked(diff_id="", size=tree.size, entries=tree.entries)

    def complete(self) -> None:
        """Nobody writes any more."""
        self._keeper.finish()
        end = index.RESERVE + self._written
        write(self._fd, self._index, 0)
        os.ftruncate(self._fd, end + -end % _PAGE)
        os.close(self._fd)
        self._fd, self._index = -1, b""

    def publish(self, chain_id: str, parent: str | None) -> None:
        """Under a lease on the layer."""
        self._new.publish(chain_id, parent, self._done, hides_all=self._hides_all)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._new.close()
