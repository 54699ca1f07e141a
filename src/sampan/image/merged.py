"""What a stack of layer tars shows, without unpacking any: one tree of names and attributes.

    tree = Tree()
    for layer in layers: effect = tree.apply(read(store.open(digest)))
    tree.root.children["etc"].children["passwd"].entry

`apply` says what the layer did: files that it added, changed and deleted, and how many bytes of the
layers below nobody can see any more (image-spec layer.md, "Applying Changesets").
"""

from __future__ import annotations

import hashlib
import posixpath
from typing import TYPE_CHECKING

from sampan.image import compress, tar
from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

_WHITEOUT, _META, _OPAQUE = ".wh.", ".wh..wh.", ".wh..wh..opq"


class Attributes(Record):
    kind: int  # of image.tar
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    link: str
    device: tuple[int, int]
    content: str  # sha256 of a regular file's contents
    xattrs: tuple[tuple[str, bytes], ...]


class Node:
    __slots__ = ("attributes", "children")

    def __init__(self, attributes: Attributes | None = None) -> None:
        self.attributes = attributes  # None: a directory that no layer describes
        self.children: dict[str, Node] = {}

    @property
    def is_directory(self) -> bool:
        return self.attributes is None or self.attributes.kind == tar.DIRECTORY

    def walk(self, above: str = "") -> Iterator[tuple[str, Node]]:
        for name in sorted(self.children):
            path, child = f"{above}/{name}", self.children[name]
            yield path, child
            yield from child.walk(path)


class Effect(Record):
    added: int
    changed: int
    deleted: int
    size: int  # bytes of the files that the layer has
    hidden: dict[str, int]  # path → bytes of lower layers that it hides


def read(file: BinaryIO, *, contents: bool = False) -> list[tuple[str, Attributes]]:
    """A layer's entries in order; their contents are hashed where asked for. Raises TarError."""
    source = tar.Source(compress.decompress(compress.chunks(file)))
    found = []
    for entry in tar.read(source):
        name = posixpath.normpath(f"/{entry.name}").lstrip("/")
        digest = hashlib.sha256()
        if contents and entry.kind == tar.REGULAR:
            digest.update(repr(entry.sparse).encode() if entry.sparse is not None else b"")
            for piece in source.pieces(entry.size):
                digest.update(piece)
        found.append((name, _attributes(entry, digest.hexdigest())))
    return found


def _attributes(entry: tar.Entry, content: str) -> Attributes:
    return Attributes(
        kind=entry.kind,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        mtime=entry.mtime,
        size=entry.true_size if entry.kind == tar.REGULAR else 0,
        link=entry.link,
        device=entry.device,
        content=content,
        xattrs=tuple(sorted(entry.xattrs.items())),
    )


class Tree:
    def __init__(self) -> None:
        self.root = Node()

    def apply(self, layer: Iterable[tuple[str, Attributes]]) -> Effect:
        """What the layer hides goes first, wherever in the layer that stands."""
        plain: list[tuple[str, Attributes]] = []
        hidden: dict[str, int] = {}
        deleted = 0
        for name, attributes in layer:
            above, _, base = name.rpartition("/")
            if base == _OPAQUE:
                deleted += self._empty(above, hidden)
            elif base.startswith(_META):
                continue
            elif base.startswith(_WHITEOUT):
                deleted += self._delete(f"{above}/{base[len(_WHITEOUT) :]}", hidden)
            else:
                plain.append((name, attributes))
        added = changed = size = 0
        own: set[str] = set()
        for name, attributes in plain:
            new = self._put(name, attributes, hidden, own)
            size += attributes.size
            added, changed = added + new, changed + (not new)
        return Effect(added=added, changed=changed, deleted=deleted, size=size, hidden=hidden)

    def find(self, path: str) -> Node | None:
        node = self.root
        for step in path.split("/"):
            if step:
                below = node.children.get(step)
                if below is None:
                    return None
                node = below
        return node

    def _delete(self, path: str, hidden: dict[str, int]) -> int:
        above, _, base = path.strip("/").rpartition("/")
        parent = self.find(above)
        node = parent.children.pop(base, None) if parent else None
        return 0 if node is None else _hide(node, f"/{path.strip('/')}", hidden)

    def _empty(self, path: str, hidden: dict[str, int]) -> int:
        node = self.find(path)
        if node is None:
            return 0
        above = f"/{path}".rstrip("/")
        count = sum(
            _hide(child, f"{above}/{name}", hidden) for name, child in node.children.items()
        )
        node.children.clear()
        return count

    def _put(
        self, name: str, attributes: Attributes, hidden: dict[str, int], own: set[str]
    ) -> bool:
        """True: nothing was there."""
        if not name:
            self.root.attributes = attributes
            return False
        *above, base = name.split("/")
        node = self.root
        for step in above:
            node = node.children.setdefault(step, Node())
        there = node.children.get(base)
        if there is not None and there.is_directory and attributes.kind == tar.DIRECTORY:
            there.attributes = attributes
            return False
        if there is not None and name not in own:
            _hide(there, f"/{name}", hidden)
        own.add(name)
        node.children[base] = Node(attributes)
        return there is None


def _hide(node: Node, path: str, hidden: dict[str, int]) -> int:
    """Count what goes; how many files and directories it is."""
    every = [(path, node), *((path + below, child) for below, child in node.walk())]
    for where, each in every:
        if each.attributes is not None and each.attributes.size:
            hidden[where] = hidden.get(where, 0) + each.attributes.size
    return len(every)


def compare(before: Tree, after: Tree) -> Iterator[tuple[str, int]]:
    """(path, kind) as `docker diff` has them: 0 changed, 1 added, 2 deleted; sorted by path."""
    yield from _compare(before.root, after.root, "")


def _compare(before: Node, after: Node, above: str) -> Iterator[tuple[str, int]]:
    for name in sorted({*before.children, *after.children}):
        path = f"{above}/{name}"
        old, new = before.children.get(name), after.children.get(name)
        if new is None:
            yield path, 2
        elif old is None:
            yield path, 1
            yield from _compare(Node(), new, path)
        else:
            below = [*_compare(old, new, path)]
            if below or old.attributes != new.attributes:
                yield path, 0
            yield from below
