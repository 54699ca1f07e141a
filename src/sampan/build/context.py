"""A build context that came as a tar stream.

It stays the stream it was, spooled to one file: nothing of it is ever unpacked, so that no link in
it leads out and 40,000 files are not created only to be packed again.
"""

from __future__ import annotations

import os
import posixpath

from sampan.build import files
from sampan.image import tar
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO


class Context:
    """A tar stream on disk. `spool` is an empty file open for reading and writing."""

    def __init__(self, spool: BinaryIO, chunks: Iterator[bytes]) -> None:
        self._spool = spool
        self._entries: dict[str, tar.Entry] = {}
        self._offsets: dict[str, int] = {}
        self._digests: dict[int, bytes] = {}  # by offset
        self._several: set[int] = set()  # the offsets of what has hard links
        self._children: dict[str, list[str]] = {"": []}
        self.implied: set[str] = set()  # directories that only the names of others tell of
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
        path = files.clean(entry.name)
        if entry.sparse is not None:
            raise errors.Unsupported(
                f"{entry.name}: sparse files in a build context are not supported yet"
            )
        if not path:
            return
        path = self._through_links(path)
        self._parents(path)
        if path not in self._entries:
            self._children[posixpath.dirname(path)].append(posixpath.basename(path))
        if entry.kind == tar.DIRECTORY:
            self._children.setdefault(path, [])
        if entry.kind == tar.HARD_LINK:
            entry, offset = self._linked(entry)
        self._entries[path], self._offsets[path] = entry, offset
        self.implied.discard(path)

    def _through_links(self, path: str) -> str:
        """A member behind a link of the archive lies where the link leads, inside the archive."""
        parent, base = posixpath.split(path)
        if parent in self._children:
            return path
        return f"{files.resolve(self, parent)}/{base}".lstrip("/")

    def _linked(self, entry: tar.Entry) -> tuple[tar.Entry, int]:
        target = files.clean(entry.link)
        if target not in self._entries:
            raise errors.InvalidArgument(
                f"{entry.name}: a hard link to {entry.link}, which is not there"
            )
        self._several.add(self._offsets[target])
        return self._entries[target], self._offsets[target]

    def _parents(self, path: str) -> None:
        parent = posixpath.dirname(path)
        if parent in self._children:
            return
        self._parents(parent)
        self._children[parent] = []
        self._children[posixpath.dirname(parent)].append(posixpath.basename(parent))
        self._entries[parent] = tar.Entry(parent, tar.DIRECTORY, mode=0o755)
        self.implied.add(parent)

    def entry(self, path: str) -> tar.Entry | None:
        return self._entries.get(path) if path else tar.Entry("", tar.DIRECTORY, mode=0o755)

    def children(self, path: str) -> list[str]:
        return list(self._children.get(path, ()))

    def copy(self, path: str, write: Callable[[bytes], object]) -> None:
        left, at = self._entries[path].size, self._offsets[path]
        while left:
            part = os.pread(self._spool.fileno(), min(left, files.CHUNK), at)
            if not part:
                raise tar.TarError("the context ends in the middle of a file")
            write(part)
            left, at = left - len(part), at + len(part)

    def digest(self, path: str) -> bytes:
        place = self._offsets[path]
        if place not in self._digests:
            self._digests[place] = files.sha256(self, path)
        return self._digests[place]

    def shared(self, path: str) -> int | None:
        place = self._offsets.get(path)
        return place if place in self._several else None
