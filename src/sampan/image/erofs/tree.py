"""A tar's members as the tree that extracting them leaves: what `unpack` does, without a disk.

Order counts as it does there: a later member replaces an earlier one of its name, a directory over
a directory only changes attributes, a hard link is the file that its target is at that moment.
Whiteouts become what overlayfs understands (a 0:0 character device, an opaque directory), and what
`unpack` refuses is refused here with the same words.
"""

from __future__ import annotations

import os
import stat

from sampan.image import tar
from sampan.image.descent import Trap, clean
from sampan.image.unpack import META, OPAQUE, WHITEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.image import sparse

_KINDS = {
    tar.REGULAR: stat.S_IFREG, tar.SYMLINK: stat.S_IFLNK, tar.CHARACTER: stat.S_IFCHR,
    tar.BLOCK_DEVICE: stat.S_IFBLK, tar.FIFO: stat.S_IFIFO,
}  # fmt: skip
_NO_XATTRS: dict[str, bytes] = {}
_LONGEST_NAME, _LONGEST_LINK = 255, 4095  # NAME_MAX, PATH_MAX without its zero


class Node:
    """A file of any kind. `data` is where a regular one's bytes start in the tar."""

    __slots__ = (
        "children", "data", "device", "gid", "link", "mode", "mtime", "opaque", "size", "sparse",
        "uid", "xattrs",
    )  # fmt: skip

    def __init__(self, mode: int, mtime: int = 0) -> None:
        self.mode, self.mtime = mode, mtime
        self.uid = self.gid = self.size = self.data = 0
        self.link = ""
        self.device = (0, 0)
        self.xattrs = _NO_XATTRS
        self.opaque = False
        self.sparse: sparse.Map | None = None
        self.children: dict[str, Node] | None = {} if stat.S_ISDIR(mode) else None


class Tree:
    """`put` each member in order; then `root` is what they make."""

    def __init__(self) -> None:
        self.root = Node(stat.S_IFDIR | 0o755)
        self.size = self.entries = 0
        self.sparse: list[Node] = []
        self._directories = {"": self.root}  # by path; forgotten when one is replaced

    def put(self, entry: tar.Entry, data: int) -> None:
        """Raises Trap, TarError."""
        self.entries += 1
        name = clean(entry.name)
        if not name:
            if entry.kind == tar.DIRECTORY:
                _attributes(self.root, entry)
            return
        above, _, base = name.rpartition("/")
        if len(os.fsencode(base)) > _LONGEST_NAME:
            raise tar.TarError(f"{entry.name}: a name of more than {_LONGEST_NAME} bytes")
        children = self._enter(above, entry)
        if base.startswith(WHITEOUT):
            self._whiteout(above, base, entry.name)
        elif entry.kind == tar.DIRECTORY:
            self._directory(children, base, entry)
        elif entry.kind == tar.HARD_LINK:
            self._hard_link(children, base, entry)
        else:
            self._replace(children, base, self._node(entry, data))

    def _enter(self, path: str, entry: tar.Entry) -> dict[str, Node]:
        known = self._directories.get(path)
        if known is None:
            known = self._walk(path, entry)
        children = known.children
        assert children is not None
        return children

    def _walk(self, path: str, entry: tar.Entry) -> Node:
        """Missing directories on the way are made; they are as old as what is in them."""
        node = self.root
        for step in path.split("/"):
            children = node.children
            assert children is not None
            below = children.get(step)
            if below is None or _is_whiteout(below):
                if len(os.fsencode(step)) > _LONGEST_NAME:
                    raise tar.TarError(f"{entry.name}: a name of more than {_LONGEST_NAME} bytes")
                made = Node(stat.S_IFDIR | 0o755, entry.mtime)
                made.opaque = below is not None
                children[step] = below = made
            elif below.children is None:
                raise Trap(entry.name, f"{step!r} on its way is a link or a file")
            node = below
        self._directories[path] = node
        return node

    def _whiteout(self, above: str, base: str, shown: str) -> None:
        parent = self._directories[above]
        if base == OPAQUE:
            parent.opaque = True
            return
        if base.startswith(META):
            return  # aufs kept its own books under such names
        hidden = base[len(WHITEOUT) :]
        if hidden in ("", ".", ".."):
            raise Trap(shown, "a whiteout needs a name")
        assert parent.children is not None
        there = parent.children.get(hidden)
        if there is None:
            parent.children[hidden] = Node(stat.S_IFCHR)
        elif there.children is not None:  # of this same layer: a whiteout hides lower ones only
            there.opaque = True

    def _directory(self, children: dict[str, Node], base: str, entry: tar.Entry) -> None:
        there = children.get(base)
        if there is None or there.children is None:
            made = Node(stat.S_IFDIR)
            made.opaque = there is not None  # what stood here hid a lower layer's; so does this
            children[base] = there = made
        _attributes(there, entry)

    def _node(self, entry: tar.Entry, data: int) -> Node:
        node = Node(_KINDS[entry.kind])
        _attributes(node, entry)
        if entry.kind == tar.REGULAR:
            node.size, node.data, node.sparse = entry.true_size, data, entry.sparse
            self.size += entry.true_size
            if entry.sparse is not None:
                self.sparse.append(node)
        elif entry.kind == tar.SYMLINK:
            node.mode |= 0o777
            node.link = entry.link
            if not 0 < len(os.fsencode(entry.link)) <= _LONGEST_LINK:
                raise tar.TarError(f"{entry.name}: a symbolic link to nothing, or to too much")
        elif entry.kind != tar.FIFO:
            major, minor = node.device = entry.device
            if major >= 1 << 12 or minor >= 1 << 20:
                raise tar.TarError(f"{entry.name}: device {major}:{minor} is out of range")
        return node

    def _hard_link(self, children: dict[str, Node], base: str, entry: tar.Entry) -> None:
        target = self._linked(entry)
        if children.get(base) is target:
            return
        there = children.get(base)
        if there is not None and there.children is not None:
            del children[base]
            self._directories = {"": self.root}
            target = self._linked(entry)  # it may have gone with that directory
        self._replace(children, base, target)

    def _linked(self, entry: tar.Entry) -> Node:
        node: Node | None = self.root
        for step in clean(entry.link, of=entry.name).split("/"):
            if node is None:
                break
            if node.children is None:
                raise Trap(entry.name, f"{entry.link!r} leads through a link or a file")
            node = node.children.get(step)
        if node is None or node.children is not None:
            why = f"it is a hard link to {entry.link!r}, which is no file of this layer"
            raise Trap(entry.name, why)
        return node

    def _replace(self, children: dict[str, Node], base: str, node: Node) -> None:
        there = children.get(base)
        children[base] = node
        if there is not None and there.children is not None:
            self._directories = {"": self.root}


def _attributes(node: Node, entry: tar.Entry) -> None:
    node.mode = stat.S_IFMT(node.mode) | entry.mode
    node.uid, node.gid, node.mtime = entry.uid, entry.gid, entry.mtime
    if entry.xattrs:
        kept = {k: v for k, v in entry.xattrs.items() if not k.startswith("trusted.overlay.")}
        node.xattrs = {**node.xattrs, **kept}


def _is_whiteout(node: Node) -> bool:
    return stat.S_ISCHR(node.mode) and node.device == (0, 0)
