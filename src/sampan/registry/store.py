"""What the registry client needs of a content store, and a twin in memory.

The engine hands in the content store of the `image` room; this room knows only the Protocol.
A *named* ingest that is left without a commit keeps its bytes and goes on from `offset` the next
time: that is how a pull resumes after a crash. One name is written by one ingest at a time; `pull`
sees to that within a process. A *part* is a plain file, for bytes that came before their turn.
All methods block; `write` and `commit` are called from threads.
"""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, Protocol

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager


class Ingest(Protocol):
    offset: int  # bytes so far

    def write(self, chunk: bytes) -> None: ...
    def reset(self) -> None: ...
    def commit(self, expected: str | None = None, size: int | None = None) -> str:
        """Make the bytes visible; raises InvalidArgument and keeps nothing where they are wrong."""


class Store(Protocol):
    def open(self, digest: str) -> BinaryIO: ...
    def write(self, name: str | None = None) -> AbstractContextManager[Ingest]: ...
    def part(self, name: str) -> BinaryIO:
        """Opened for reading and appending; kept until it is abandoned, or grows too old."""

    def abandon(self, name: str) -> None:
        """Forget a named ingest or part; nothing where there is none."""

    def size(self, digest: str) -> int: ...
    def __contains__(self, digest: str) -> bool: ...


class MemoryStore:
    """The twin: blobs in a dictionary, what is left unfinished in `parts`."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.parts: dict[str, bytes] = {}
        self.files: dict[str, _Part] = {}

    def open(self, digest: str) -> BinaryIO:
        if digest not in self.blobs:
            raise errors.NotFound(f"blob {digest} is not in the store")
        return io.BytesIO(self.blobs[digest])

    def size(self, digest: str) -> int:
        with self.open(digest) as file:
            return file.seek(0, io.SEEK_END)

    def __contains__(self, digest: str) -> bool:
        return digest in self.blobs

    @contextmanager
    def write(self, name: str | None = None) -> Iterator[Ingest]:
        ingest = _MemoryIngest(self.blobs, self.parts.pop(name, b"") if name else b"")
        try:
            yield ingest
        finally:
            if name and ingest.data and not ingest.committed:
                self.parts[name] = bytes(ingest.data)

    def part(self, name: str) -> BinaryIO:
        file = self.files.setdefault(name, _Part())
        file.seek(0, io.SEEK_END)
        return file

    def abandon(self, name: str) -> None:
        self.parts.pop(name, None)
        self.files.pop(name, None)

    def add(self, data: bytes) -> str:
        with self.write() as ingest:
            ingest.write(data)
            return ingest.commit()


class _Part(io.BytesIO):
    def close(self) -> None:
        """Kept until it is abandoned."""


class _MemoryIngest:
    def __init__(self, blobs: dict[str, bytes], part: bytes) -> None:
        self._blobs, self.data, self.committed = blobs, bytearray(part), False
        self.offset = len(part)

    def write(self, chunk: bytes) -> None:
        self.data += chunk
        self.offset = len(self.data)

    def reset(self) -> None:
        self.data.clear()
        self.offset = 0

    def commit(self, expected: str | None = None, size: int | None = None) -> str:
        algorithm = (expected or "sha256:").partition(":")[0]
        actual = f"{algorithm}:{hashlib.new(algorithm, self.data).hexdigest()}"
        if expected not in (None, actual) or size not in (None, len(self.data)):
            self.reset()
            raise errors.InvalidArgument(f"expected {expected}, received bytes of {actual}")
        self._blobs[actual] = bytes(self.data)
        self.committed = True
        return actual
