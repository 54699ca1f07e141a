"""Where COPY takes files from: a context that came as a tar stream, or a stage's layers.

Both are trees of `tar.Entry` by path (relative, "" is the root). A context stays the stream it was,
spooled to one file: nothing of it is ever unpacked, so that no link in it leads out
and 40,000 files are not created only to be packed again. Layers are read as overlayfs would
show them, without a mount.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import stat

from sampan.image import tar
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO, Protocol

    class Files(Protocol):
        def entry(self, path: str) -> tar.Entry | None:
            """What lies there, the path's links not followed."""

        def children(self, path: str) -> list[str]: ...
        def copy(self, path: str, write: Callable[[bytes], object]) -> None:
            """A regular file's `entry.size` bytes."""


_CHUNK = 1 << 20
_LINKS = 40  # as the kernel's ELOOP


class PathNotFound(errors.NotFound):
    def __init__(self, path: str) -> None:
        super().__init__(f'"/{path}": not found')


def clean(path: str) -> str:
    """Relative to the root, which `..` does not leave."""
    return posixpath.normpath("/" + path).lstrip("/")


def resolve(files: Files, path: str, *, last: bool = True) -> str:
    """The path with its links followed inside the tree; `last`: the final one too."""
    done, todo, links = "", clean(path).split("/"), 0
    while todo:
        step = todo.pop(0)
        if step == "..":
            done = posixpath.dirname(done)
        if step in ("", ".", ".."):
            continue
        here = f"{done}/{step}" if done else step
        entry = files.entry(here)
        if entry is None or entry.kind != tar.SYMLINK or not (todo or last):
            done = here
            continue
        links += 1
        if links > _LINKS:
            raise errors.InvalidArgument(f'"/{path}": too many levels of symbolic links')
        if entry.link.startswith("/"):
            done = ""
        todo = [*entry.link.split("/"), *todo]
    return done


def walk(files: Files, path: str) -> Iterator[str]:
    """The path and all below it, parents first, in the order of names."""
    yield path
    entry = files.entry(path)
    if entry is None or entry.kind == tar.DIRECTORY:
        for name in sorted(files.children(path)):
            yield from walk(files, f"{path}/{name}" if path else name)


class _Enough(Exception):
    pass


def beginning(files: Files, path: str, size: int) -> bytes:
    """Up to `size` bytes of a regular file; no more than a chunk of it is read."""
    parts: list[bytes] = []

    def take(part: bytes) -> None:
        parts.append(part)
        if sum(map(len, parts)) >= size:
            raise _Enough

    with contextlib.suppress(_Enough):
        files.copy(path, take)
    return b"".join(parts)[:size]


class Context:
    """A tar stream on disk. `spool` is an empty file open for reading and writing."""

    def __init__(self, spool: BinaryIO, chunks: Iterator[bytes]) -> None:
        self._spool = spool
        self._entries: dict[str, tar.Entry] = {}
        self._offsets: dict[str, int] = {}
        self._children: dict[str, list[str]] = {"": []}
        source = tar.Source(self._kept(chunks))
        for entry in tar.read(source):
            self._add(entry, source.offset)
        source.drain()
        spool.flush()

    def _kept(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._spool.write(chunk)
            yield chunk

    def _add(self, entry: tar.Entry, offset: int) -> None:
        path = clean(entry.name)
        if entry.sparse is not None:
            raise errors.Unsupported(
                f"{entry.name}: sparse files in a build context are not supported yet"
            )
        if not path:
            return
        self._parents(path)
        if path not in self._entries:
            self._children[posixpath.dirname(path)].append(posixpath.basename(path))
        if entry.kind == tar.DIRECTORY:
            self._children.setdefault(path, [])
        if entry.kind == tar.HARD_LINK:
            entry, offset = self._linked(entry)
        self._entries[path], self._offsets[path] = entry, offset

    def _linked(self, entry: tar.Entry) -> tuple[tar.Entry, int]:
        target = clean(entry.link)
        if target not in self._entries:
            raise errors.InvalidArgument(
                f"{entry.name}: a hard link to {entry.link}, which is not there"
            )
        return self._entries[target], self._offsets[target]

    def _parents(self, path: str) -> None:
        parent = posixpath.dirname(path)
        if parent in self._children:
            return
        self._parents(parent)
        self._children[parent] = []
        self._children[posixpath.dirname(parent)].append(posixpath.basename(parent))
        self._entries[parent] = tar.Entry(parent, tar.DIRECTORY, mode=0o755)

    def remove(self, path: str) -> None:
        """Forget what a `.dockerignore` leaves behind (data stays in the spool, unread)."""
        self._entries.pop(path, None)
        self._children.pop(path, None)
        siblings = self._children.get(posixpath.dirname(path), [])
        if posixpath.basename(path) in siblings:
            siblings.remove(posixpath.basename(path))

    def entry(self, path: str) -> tar.Entry | None:
        return self._entries.get(path) if path else tar.Entry("", tar.DIRECTORY, mode=0o755)

    def children(self, path: str) -> list[str]:
        return list(self._children.get(path, ()))

    def copy(self, path: str, write: Callable[[bytes], object]) -> None:
        left, at = self._entries[path].size, self._offsets[path]
        while left:
            part = os.pread(self._spool.fileno(), min(left, _CHUNK), at)
            if not part:
                raise tar.TarError("the context ends in the middle of a file")
            write(part)
            left, at = left - len(part), at + len(part)

    def text(self, path: str) -> str:
        """A small file's text, links followed. Raises PathNotFound."""
        place = resolve(self, path)
        entry = self.entry(place)
        if entry is None or entry.kind != tar.REGULAR:
            raise PathNotFound(path)
        parts: list[bytes] = []
        self.copy(place, parts.append)
        return b"".join(parts).decode("utf-8", "surrogateescape")


class Stack:
    """Unpacked layers, top first, as overlayfs would join them. overlayfs.rst: "whiteouts"."""

    def __init__(self, layers: list[str]) -> None:
        # A layer may be a descriptor's link in /proc, which is no directory itself.
        self._layers = [f"{layer}/." for layer in layers]

    def entry(self, path: str) -> tar.Entry | None:
        place = self._find(path)
        if place is None:
            return None
        return tar.entry_of(place, path, os.lstat(place))

    def _find(self, path: str) -> str | None:
        """The topmost layer's path, unless a whiteout, a file or an opaque directory hides it."""
        steps = path.split("/") if path else []
        for layer in self._layers:
            place = layer
            hidden = False
            for step in steps:
                hidden = hidden or _opaque(place)
                place = f"{place}/{step}"
                status = _lstat(place)
                if status is None:
                    break
                if _whiteout(status):
                    return None
                if not stat.S_ISDIR(status.st_mode) and place != f"{layer}/{path}":
                    return None
            else:
                return place
            if hidden:
                return None
        return None

    def children(self, path: str) -> list[str]:
        names: set[str] = set()
        for layer in self._layers:
            place = f"{layer}/{path}" if path else layer
            status = _lstat(place)
            if status is not None and stat.S_ISDIR(status.st_mode):
                names.update(os.listdir(place))
        return [n for n in names if self._find(f"{path}/{n}" if path else n) is not None]

    def copy(self, path: str, write: Callable[[bytes], object]) -> None:
        place = self._find(path)
        if place is None:
            raise PathNotFound(path)
        with open(place, "rb") as file:
            while part := file.read(_CHUNK):
                write(part)


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _opaque(directory: str) -> bool:
    try:
        return os.getxattr(directory, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False
