"""Trees that COPY takes files from: `tar.Entry` by path (relative, "" is the root).

`context.Context` is a tar stream, `stack.Stack` a stage's layers or a directory; here is what
works on any of them, and trees made of others.
"""

from __future__ import annotations

import contextlib
import hashlib
import posixpath

from sampan.image import tar
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence
    from typing import Protocol

    from sampan.build.ignore import Matcher

    class Entries(Protocol):
        def entry(self, path: str) -> tar.Entry | None:
            """What lies there, the path's links not followed."""

    class Files(Entries, Protocol):
        def children(self, path: str) -> list[str]: ...
        def copy(self, path: str, write: Callable[[bytes], object]) -> None:
            """A regular file's `entry.size` bytes."""

        def digest(self, path: str) -> bytes:
            """The SHA-256 of a regular file's data."""

        def shared(self, path: str) -> Hashable | None:
            """What the names of one regular file have in common; None where it has but one."""


CHUNK = 1 << 20
_LINKS = 40  # as the kernel's ELOOP


class PathNotFound(errors.NotFound):
    def __init__(self, path: str) -> None:
        super().__init__(f'"/{path}": not found')


def clean(path: str) -> str:
    """Relative to the root, which `..` does not leave."""
    return posixpath.normpath("/" + path).lstrip("/")


def resolve(files: Entries, path: str, *, last: bool = True) -> str:
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


def below(files: Files) -> Iterator[str]:
    """All paths but the root's own."""
    for name in sorted(files.children("")):
        yield from walk(files, name)


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


def text(files: Files, path: str) -> str:
    """A small file's text, links followed. Raises PathNotFound."""
    place = resolve(files, path)
    entry = files.entry(place)
    if entry is None or entry.kind != tar.REGULAR:
        raise PathNotFound(path)
    parts: list[bytes] = []
    files.copy(place, parts.append)
    return b"".join(parts).decode("utf-8", "surrogateescape")


def sha256(files: Files, path: str) -> bytes:
    """A regular file's, for trees that do not know it."""
    total = hashlib.sha256()
    files.copy(path, total.update)
    return total.digest()


def digest(files: Files, path: str) -> str:
    """Of a path and all below it but its times."""
    total = hashlib.sha256()
    for place in walk(files, path):
        entry = files.entry(place)
        if entry is None:
            continue
        head = (place[len(path) :], entry.kind, entry.mode, entry.uid, entry.gid, entry.link)
        total.update(repr((*head, entry.device, sorted(entry.xattrs.items()))).encode())
        if entry.kind == tar.REGULAR:
            total.update(files.digest(place))
    return total.hexdigest()


class Subtree:
    """A directory of another tree, as a tree."""

    def __init__(self, files: Files, root: str) -> None:
        self._files, self._root = files, root

    def _inside(self, path: str) -> str:
        return f"{self._root}/{path}".strip("/")

    def entry(self, path: str) -> tar.Entry | None:
        return self._files.entry(self._inside(path))

    def children(self, path: str) -> list[str]:
        return self._files.children(self._inside(path))

    def copy(self, path: str, write: Callable[[bytes], object]) -> None:
        self._files.copy(self._inside(path), write)

    def digest(self, path: str) -> bytes:
        return self._files.digest(self._inside(path))

    def shared(self, path: str) -> Hashable | None:
        return self._files.shared(self._inside(path))


class Filtered(Subtree):
    """A tree without what a `.dockerignore` leaves behind."""

    def __init__(self, files: Files, matcher: Matcher) -> None:
        super().__init__(files, "")
        self._matcher = matcher

    def entry(self, path: str) -> tar.Entry | None:
        found = super().entry(path)
        if found is None or not path or not self._matcher.ignores(path):
            return found
        # A directory stays for what a `!` has taken back in it.
        return found if found.kind == tar.DIRECTORY and self.children(path) else None

    def children(self, path: str) -> list[str]:
        if path and self._matcher.prunes(path):
            return []
        names = super().children(path)
        return [n for n in names if self.entry(f"{path}/{n}" if path else n) is not None]


class Single:
    """A tree of one regular file, whose data lie in a file of this machine."""

    def __init__(self, entry: tar.Entry, path: str) -> None:
        self._entry, self._path = entry, path

    def named(self, name: str) -> Single:
        entry = tar.Entry(name, mode=self._entry.mode, size=self._entry.size)
        entry.mtime = self._entry.mtime
        return Single(entry, self._path)

    def entry(self, path: str) -> tar.Entry | None:
        if path == self._entry.name:
            return self._entry
        return tar.Entry("", tar.DIRECTORY, mode=0o755) if not path else None

    def children(self, path: str) -> list[str]:
        return [] if path else [self._entry.name]

    def copy(self, path: str, write: Callable[[bytes], object]) -> None:
        if path != self._entry.name:
            raise PathNotFound(path)
        with open(self._path, "rb") as file:
            while part := file.read(CHUNK):
                write(part)

    def digest(self, path: str) -> bytes:
        return sha256(self, path)

    def shared(self, _path: str) -> None:
        return None


class Joined:
    """Several trees as one, each at its directory ("" is the top); the last of them wins."""

    def __init__(self, trees: Sequence[tuple[str, Files]]) -> None:
        self._trees = trees

    def _of(self, path: str) -> Iterator[tuple[Files, str]]:
        for place, tree in reversed(self._trees):
            if not place:
                yield tree, path
            elif path == place or path.startswith(f"{place}/"):
                yield tree, path[len(place) + 1 :]

    def entry(self, path: str) -> tar.Entry | None:
        for tree, inside in self._of(path):
            if (found := tree.entry(inside)) is not None:
                return found if inside else tar.Entry("", tar.DIRECTORY, mode=0o755)
        return None if path else tar.Entry("", tar.DIRECTORY, mode=0o755)

    def children(self, path: str) -> list[str]:
        names = {name for tree, inside in self._of(path) for name in tree.children(inside)}
        return [*(names if path else names | {place for place, _ in self._trees if place})]

    def _holder(self, path: str) -> tuple[Files, str]:
        for tree, inside in self._of(path):
            if tree.entry(inside) is not None:
                return tree, inside
        raise PathNotFound(path)

    def copy(self, path: str, write: Callable[[bytes], object]) -> None:
        tree, inside = self._holder(path)
        tree.copy(inside, write)

    def digest(self, path: str) -> bytes:
        tree, inside = self._holder(path)
        return tree.digest(inside)

    def shared(self, path: str) -> Hashable | None:
        tree, inside = self._holder(path)
        return tree.shared(inside)


class Nothing:
    """A tree without anything: what is copied with --link needs nothing below it."""

    def entry(self, path: str) -> tar.Entry | None:
        return None if path else tar.Entry("", tar.DIRECTORY, mode=0o755)

    def children(self, _path: str) -> list[str]:
        return []

    def copy(self, path: str, _write: Callable[[bytes], object]) -> None:
        raise PathNotFound(path)

    def digest(self, path: str) -> bytes:
        raise PathNotFound(path)

    def shared(self, _path: str) -> None:
        return None


NOTHING = Nothing()
