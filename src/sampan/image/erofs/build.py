"""A stream of tar into a layer file: the tar kept as it comes, hashed, and indexed.

Inflating (the caller's stream, see `layers.plain`), hashing and writing let go of the
interpreter's lock, so a thread for each uses the second core while this one reads headers.
"""

from __future__ import annotations

import os

from sampan.image import hashing, tar
from sampan.image.erofs import index
from sampan.image.erofs.keep import Keeper, write
from sampan.image.erofs.tree import Tree
from sampan.image.unpack import DiffIdMismatch, Unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib
    from collections.abc import Generator, Iterator

    from sampan.image.erofs.tree import Node

_PAGE = 4096
_CHUNK = 1 << 20


def build(
    chunks: Iterator[bytes], fd: int, *, expected: str | None = None
) -> tuple[Unpacked, bool]:
    """Fill the empty file `fd`; what it holds, and whether its root hides all lower layers.

    `expected` is the diff_id. Raises Trap, TarError, DiffIdMismatch, index.TooLarge, OSError.
    """
    digest = hashing.hasher(expected)
    kept = _kept(chunks, fd, digest)
    source = tar.Source(kept)
    tree = Tree()
    try:
        for entry in tar.read(source):
            tree.put(entry, source.offset)
        source.drain()
    finally:
        kept.close()
    actual = hashing.digest(digest)
    if expected not in (None, actual):
        raise DiffIdMismatch(str(expected), actual)
    total, places = _expand(fd, index.RESERVE + source.offset, tree.sparse)
    write(fd, index.pack(tree, places, total), 0)
    os.ftruncate(fd, total + -total % _PAGE)
    return Unpacked(diff_id=actual, size=tree.size, entries=tree.entries), tree.root.opaque


def _kept(chunks: Iterator[bytes], fd: int, digest: hashlib._Hash) -> Generator[bytes, None, None]:
    """The chunks on their way into the file."""
    keeper = Keeper(fd, index.RESERVE)
    beside = hashing.Beside(digest)
    try:
        for chunk in chunks:
            beside.update(chunk)
            keeper.write(chunk)
            yield chunk
    finally:
        beside.finish()
        keeper.finish()


def _expand(fd: int, end: int, sparse: list[Node]) -> tuple[int, dict[int, int]]:
    """Sparse files whole, holes and all, after the tar; the end and where each is, by id(node)."""
    places = {}
    for node in sparse:
        end += -end % _PAGE
        places[id(node)] = end
        if end + node.size > index.MOST_BLOCKS * index.BLOCK:
            raise index.TooLarge(f"a sparse file of {node.size} bytes")
        data = index.RESERVE + node.data
        for offset, length in node.sparse or ():
            _copy(fd, data, end + offset, length)
            data += length
        end += node.size
    return end, places


def _copy(fd: int, source: int, target: int, count: int) -> None:
    while count:
        part = os.pread(fd, min(count, _CHUNK), source)
        write(fd, part, target)
        source, target, count = source + len(part), target + len(part), count - len(part)
