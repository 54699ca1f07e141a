"""What a content store is: the seam, its errors, and what works on any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, Protocol

from sampan.kit import errors
from sampan.spec import reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sampan.spec.oci_image import Digest


class BlobNotFound(errors.NotFound):
    def __init__(self, digest: str) -> None:
        super().__init__(f"blob {digest} is not in the store")
        self.digest = digest


class DigestMismatch(errors.InvalidArgument):
    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"expected {expected}, received bytes of {actual}")
        self.expected, self.actual = expected, actual


class SizeMismatch(errors.InvalidArgument):
    def __init__(self, digest: str, expected: int, actual: int) -> None:
        super().__init__(f"blob {digest} should have {expected} bytes, {actual} came")
        self.expected, self.actual = expected, actual


class StoreFull(errors.Unavailable):
    def __init__(self, path: str) -> None:
        super().__init__(f"no space left on device: cannot write to {path}")


ALGORITHMS = ("sha256", "sha512")


class UnknownAlgorithm(errors.Unsupported):
    """A digest that may be right, but that nobody here can check (descriptor.md)."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"{digest}: only sha256 and sha512 can be checked")
        self.digest = digest


def algorithm_of(expected: str | None) -> str:
    """What to hash with. Raises InvalidArgument for what is no digest, UnknownAlgorithm."""
    if expected is None:
        return "sha256"
    if not reference.valid_digest(expected):
        raise errors.InvalidArgument(f"{expected!r} is no digest")
    algorithm = expected.partition(":")[0]
    if algorithm not in ALGORITHMS:
        raise UnknownAlgorithm(expected)
    return algorithm


def silent(digest: str) -> None:
    """An `announce` for nobody."""


class Ingest(Protocol):
    offset: int  # bytes so far
    announce: Callable[[str], object]  # called with the digest before it becomes visible

    def write(self, chunk: bytes | memoryview) -> None: ...
    def reset(self) -> None:
        """Begin again at nothing."""

    def commit(self, expected: str | None = None, size: int | None = None) -> Digest: ...


class ContentStore(Protocol):
    def open(self, digest: str) -> BinaryIO: ...
    def write(self, name: str | None = None) -> AbstractContextManager[Ingest]: ...
    def size(self, digest: str) -> int: ...
    def __contains__(self, digest: str) -> bool: ...
    def delete(self, digest: str) -> None: ...
    def walk(self) -> Iterator[Digest]: ...
    def part(self, name: str) -> BinaryIO: ...
    def abandon(self, name: str) -> None: ...


def check_size(expected: str | None, size: int | None, length: int) -> None:
    """Comes before the digest (descriptor.md): another length needs no hashing to be refused."""
    if size is not None and size != length:
        raise SizeMismatch(expected or "of no name yet", size, length)


def check_digest(expected: str | None, actual: str) -> None:
    if expected not in (None, actual):
        raise DigestMismatch(expected or "", actual)


def add(store: ContentStore, data: bytes) -> Digest:
    """Put a small document into a store."""
    with store.write() as ingest:
        ingest.write(data)
        return ingest.commit()


def read(store: ContentStore, digest: str) -> bytes:
    with store.open(digest) as file:
        return file.read()
