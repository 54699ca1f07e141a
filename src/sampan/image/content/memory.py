"""The content store's twin in memory, for tests and small builds."""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from sampan.image.content.store import BlobNotFound, algorithm_of, check_digest, check_size, silent
from sampan.kit import errors
from sampan.spec.oci_image import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sampan.image.content.store import Ingest


class MemoryStore:
    """A content store for tests and small builds."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}
        self._parts: dict[str, bytes] = {}
        self._files: dict[str, _Part] = {}

    def open(self, digest: str) -> BinaryIO:
        try:
            return io.BytesIO(self._blobs[digest])
        except KeyError:
            raise BlobNotFound(digest) from None

    @contextmanager
    def write(self, name: str | None = None) -> Iterator[Ingest]:
        ingest = _MemoryIngest(self._blobs, self._parts.pop(name, b"") if name else b"")
        try:
            yield ingest
        finally:
            if name and not ingest.committed:
                self._parts[name] = bytes(ingest.buffer)

    def part(self, name: str) -> BinaryIO:
        file = self._files.setdefault(name, _Part())
        file.seek(0, io.SEEK_END)
        return file

    def abandon(self, name: str) -> None:
        self._parts.pop(name, None)
        self._files.pop(name, None)

    def size(self, digest: str) -> int:
        with self.open(digest) as file:
            return len(file.read())

    def __contains__(self, digest: str) -> bool:
        return digest in self._blobs

    def delete(self, digest: str) -> None:
        self._blobs.pop(digest, None)

    def walk(self) -> Iterator[Digest]:
        yield from map(Digest, list(self._blobs))


class _Part(io.BytesIO):
    def close(self) -> None:
        """Kept until it is abandoned."""


class _MemoryIngest:
    def __init__(self, blobs: dict[str, bytes], part: bytes) -> None:
        self._blobs, self.buffer, self.committed = blobs, bytearray(part), False
        self.announce: Callable[[str], object] = silent

    @property
    def offset(self) -> int:
        return len(self.buffer)

    @offset.setter
    def offset(self, _: int) -> None: ...

    def write(self, chunk: bytes | memoryview) -> None:
        self.buffer += chunk

    def reset(self) -> None:
        self.buffer.clear()

    def commit(self, expected: str | None = None, size: int | None = None) -> Digest:
        algorithm = algorithm_of(expected)
        try:
            check_size(expected, size, len(self.buffer))
            actual = f"{algorithm}:{hashlib.new(algorithm, self.buffer).hexdigest()}"
            check_digest(expected, actual)
        except errors.InvalidArgument:
            self.reset()
            raise
        self.announce(actual)
        self._blobs[actual] = bytes(self.buffer)
        self.committed = True
        return Digest(actual)
