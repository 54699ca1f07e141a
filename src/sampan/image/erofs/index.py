"""A tree as EROFS metadata: superblock, inodes, directories, extended attributes.

Inodes lie one after another from the superblock on; a directory or symbolic link that fits into the
rest of a block stands right behind its inode ("inline"), larger ones have blocks of their own after
the last inode. Owners above 65535, sizes from 4 GiB and times other than the superblock's need the
64-byte inode, all else gets the one of 32 (erofs_fs.h: erofs_inode_extended, erofs_inode_compact).
"""

from __future__ import annotations

import os
import stat
import struct
from collections import Counter

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.image.erofs.tree import Node, Tree

BLOCK = 512  # a tar's, and so the file system's
RESERVE = 1 << 30  # bytes for the index; where the tar begins
MOST_BLOCKS = (1 << 32) - 1

_SUPERBLOCK = struct.Struct("<IIIBBHQQIIII16s16sI44x")
_COMPACT = struct.Struct("<HHHHIIIIHHI")
_EXTENDED = struct.Struct("<HHHHQIIIIQII16x")
_DIRENT = struct.Struct("<QHBB")
_XATTR = struct.Struct("<BBH")
_MAGIC, _START, _FIRST_INODE = 0xE0F5E1E2, 1024, 1536
_SLOT = 32  # a node id counts these, from _START
_WITH_MTIME = 0x2  # feature_compat: times are mtimes
_PLAIN, _INLINE = 0 << 1, 2 << 1  # i_format: how data is laid out; bit 0: extended
_TYPES = {
    stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6, stat.S_IFLNK: 7,
}  # fmt: skip
_PREFIXES = (  # name → index; the access control lists are the whole name
    ("user.", 1), ("system.posix_acl_access", 2), ("system.posix_acl_default", 3),
    ("trusted.", 4), ("security.", 6),
)  # fmt: skip
_OPAQUE = {"trusted.overlay.opaque": b"y"}


class TooLarge(errors.Unsupported):
    def __init__(self, what: str) -> None:
        super().__init__(f"the layer is too large for the erofs snapshotter: {what}")


class _Inode:
    """A node on its way into the file. `body` is a directory's or link's data, `links` the names
    that lead to it, `place` its offset."""

    __slots__ = ("attributes", "blocks", "body", "extended", "links", "node", "parent", "place")

    def __init__(self, node: Node, parent: _Inode | None) -> None:
        self.node, self.parent = node, parent or self
        self.links = 0 if node.children is None else 2
        self.attributes = _attributes(node)
        self.blocks: list[list[bytes]] = []  # a directory's names, block by block
        self.body = os.fsencode(node.link)
        self.extended = False
        self.place = 0

    @property
    def number(self) -> int:
        return (self.place - _START) // _SLOT

    def head(self) -> int:
        return (64 if self.extended else 32) + len(self.attributes)

    def length(self) -> int:
        """Bytes of a directory or a link."""
        if not self.blocks:
            return len(self.body)
        last = sum(_DIRENT.size + len(name) for name in self.blocks[-1])
        return (len(self.blocks) - 1) * BLOCK + last


def pack(tree: Tree, data: dict[int, int], total: int) -> bytes:
    """The index. `data` has the offsets of sparse files by id(node), `total` is the size of the
    whole file. Raises TooLarge."""
    inodes = _gather(tree.root)
    listed = list(inodes.values())
    epoch = Counter(inode.node.mtime for inode in listed).most_common(1)[0][0]
    for inode in listed:
        inode.extended = _needs_more(inode, epoch)
        if inode.node.children is not None:
            inode.blocks = _blocks(inode.node.children)
    end, apart = _arrange(listed)
    if end > RESERVE or (total + BLOCK - 1) // BLOCK > MOST_BLOCKS:
        raise TooLarge(f"{len(listed)} files, {total - RESERVE} bytes")
    out = bytearray(end)
    seconds, nanoseconds = divmod(epoch, 10**9)
    _SUPERBLOCK.pack_into(
        out, _START, _MAGIC, 0, _WITH_MTIME, 9, 0, listed[0].number, len(listed),
        seconds % (1 << 64), nanoseconds, (total + BLOCK - 1) // BLOCK, _START // BLOCK, 0,
        b"", b"", 0,
    )  # fmt: skip
    for count, inode in enumerate(listed, 1):
        _write(out, inode, count, apart.get(id(inode), 0), inodes, data)
    return bytes(out)


def _gather(root: Node) -> dict[int, _Inode]:
    """Every node once, parents before children, by id; names are counted."""
    first = _Inode(root, None)
    inodes = {id(root): first}
    waiting = [first]
    for parent in waiting:
        for child in (parent.node.children or {}).values():
            inode = inodes.get(id(child))
            if inode is None:
                inode = inodes[id(child)] = _Inode(child, parent)
                if child.children is not None:
                    parent.links += 1
                    waiting.append(inode)
            if child.children is None:
                inode.links += 1
    return inodes


def _needs_more(inode: _Inode, epoch: int) -> bool:
    node = inode.node
    return (
        node.mtime != epoch
        or node.uid > 0xFFFF
        or node.gid > 0xFFFF
        or node.size > 0xFFFFFFFF
        or inode.links > 0xFFFF
    )


def _blocks(children: dict[str, Node]) -> list[list[bytes]]:
    """A directory's names in the kernel's order, as they fill blocks."""
    names = sorted([b".", b"..", *map(os.fsencode, children)])
    blocks: list[list[bytes]] = []
    used = BLOCK + 1
    for name in names:
        size = _DIRENT.size + len(name)
        if used + size > BLOCK:
            blocks.append([])
            used = 0
        blocks[-1].append(name)
        used += size
    return blocks


def _arrange(inodes: list[_Inode]) -> tuple[int, dict[int, int]]:
    """Give each inode its place; the end of all, and where the bodies are that stand apart."""
    at = _FIRST_INODE
    outside = []
    for inode in inodes:
        head, body = inode.head(), inode.length()
        if body and head + body > BLOCK:
            outside.append((inode, body))
            body = 0
        room = BLOCK - at % BLOCK
        if (head + body if body else min(head, 64)) > room:
            at += room
        inode.place = at
        at += head + body
        at += -at % _SLOT
    at += -at % BLOCK
    apart = {}
    for inode, body in outside:
        apart[id(inode)] = at
        at += body + -body % BLOCK
    return at, apart


def _write(
    out: bytearray,
    inode: _Inode,
    count: int,
    apart: int,
    inodes: dict[int, _Inode],
    data: dict[int, int],
) -> None:
    node, size = inode.node, inode.node.size
    body = _directory(inode, inodes) if inode.blocks else inode.body
    layout = _PLAIN
    where = 0  # the first block of data, or the device
    if body:
        size = len(body)
        start = apart or inode.place + inode.head()
        out[start : start + size] = body
        layout, where = (_PLAIN, apart // BLOCK) if apart else (_INLINE, 0xFFFFFFFF)
    elif stat.S_ISREG(node.mode) and size:
        where = data.get(id(node), RESERVE + node.data) // BLOCK
    elif node.device != (0, 0):
        major, minor = node.device
        where = minor & 0xFF | major << 8 | (minor & ~0xFF) << 12
    words = (len(inode.attributes) - 12) // 4 + 1 if inode.attributes else 0
    if inode.extended:
        seconds, nanoseconds = divmod(node.mtime, 10**9)
        _EXTENDED.pack_into(
            out, inode.place, layout | 1, words, node.mode, 0, size, where, count, node.uid,
            node.gid, seconds % (1 << 64), nanoseconds, inode.links,
        )  # fmt: skip
    else:
        _COMPACT.pack_into(
            out, inode.place, layout, words, node.mode, inode.links, size, 0, where, count,
            node.uid, node.gid, 0,
        )  # fmt: skip
    start = inode.place + (64 if inode.extended else 32)
    out[start : start + len(inode.attributes)] = inode.attributes


def _directory(inode: _Inode, inodes: dict[int, _Inode]) -> bytes:
    children = inode.node.children or {}
    parts: list[bytes] = []
    for names in inode.blocks:
        if parts:
            parts[-1] = parts[-1].ljust(BLOCK, b"\0")
        head = []
        at = _DIRENT.size * len(names)
        for name in names:
            if name == b".":
                child = inode
            elif name == b"..":
                child = inode.parent
            else:
                child = inodes[id(children[os.fsdecode(name)])]
            head.append(_DIRENT.pack(child.number, at, _TYPES[stat.S_IFMT(child.node.mode)], 0))
            at += len(name)
        parts.append(b"".join(head) + b"".join(names))
    return b"".join(parts)


def _attributes(node: Node) -> bytes:
    """A node's extended attributes as they stand behind its inode: a header, then each padded."""
    if not (node.xattrs or node.opaque):
        return b""
    packed = []
    for key, value in {**node.xattrs, **(_OPAQUE if node.opaque else {})}.items():
        for prefix, index in _PREFIXES:
            exact = index in (2, 3)
            if key == prefix if exact else key.startswith(prefix):
                break
        else:
            continue  # of a kind that the kernel does not know
        if index == 1 and stat.S_IFMT(node.mode) not in (stat.S_IFREG, stat.S_IFDIR):
            continue  # xattr(7): only files and directories have those
        name = os.fsencode(key[len(prefix) :])
        if len(name) > 255 or len(value) > 0xFFFF or not (name or exact):
            raise TooLarge(f"an extended attribute {key[:40]!r} of {len(value)} bytes")
        one = _XATTR.pack(len(name), index, len(value)) + name + value
        packed.append(one + b"\0" * (-len(one) % 4))
    if not packed:
        return b""
    return bytes(12) + b"".join(packed)
