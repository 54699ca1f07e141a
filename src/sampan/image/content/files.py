"""The content store on a disk."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from sampan.image.content.store import (
    ALGORITHMS,
    BlobNotFound,
    StoreFull,
    UnknownAlgorithm,
    algorithm_of,
    check_digest,
    check_size,
    silent,
)
from sampan.kit import atomic, errors
from sampan.spec.oci_image import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sampan.image.content.store import Ingest

_FULL = (errno.ENOSPC, errno.EDQUOT)


class FileStore:
    """`root/content/blobs/ALGORITHM/HEX`, and `root/content/ingest` for what is on its way.

    A blob appears by rename after fsync; the rename's own durability is left to the next sync of
    the directory, because a blob that a power cut took back is fetched again.
    """

    def __init__(self, root: str) -> None:
        self._blobs = f"{root}/content/blobs"
        self._ingest = f"{root}/content/ingest"
        for directory in (f"{self._blobs}/sha256", f"{self._blobs}/sha512", self._ingest):
            os.makedirs(directory, mode=0o700, exist_ok=True)

    def path(self, digest: str) -> str:
        """Where a blob's bytes are, or would be. Raises InvalidArgument for what is no digest."""
        return f"{self._blobs}/{algorithm_of(digest)}/{digest.partition(':')[2]}"

    def open(self, digest: str) -> BinaryIO:
        try:
            return open(self.path(digest), "rb")
        except FileNotFoundError:
            raise BlobNotFound(digest) from None

    def size(self, digest: str) -> int:
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            raise BlobNotFound(digest) from None

    def __contains__(self, digest: str) -> bool:
        """Never true of an algorithm that nobody here can check."""
        try:
            return os.path.exists(self.path(digest))
        except UnknownAlgorithm:
            return False

    def delete(self, digest: str) -> None:
        try:
            os.unlink(self.path(digest))
        except FileNotFoundError:
            pass

    def walk(self) -> Iterator[Digest]:
        for algorithm in ALGORITHMS:
            for name in os.listdir(f"{self._blobs}/{algorithm}"):
                if not name.startswith("."):
                    yield Digest(f"{algorithm}:{name}")

    @contextmanager
    def write(self, name: str | None = None) -> Iterator[Ingest]:
        ingest = _FileIngest(self, self.coming(name or secrets.token_hex(8)))
        try:
            yield ingest
        finally:
            ingest.close(keep=name is not None)

    def part(self, name: str) -> BinaryIO:
        """A file for bytes that came before their turn; kept as a named ingest is."""
        return open(self.coming(name), "a+b", buffering=0, opener=_opener)

    def coming(self, name: str) -> str:
        """Where the bytes of a named ingest are until its commit."""
        return f"{self._ingest}/{name.replace('/', '_').replace(':', '-')}"

    def adopt(self, path: str, digest: str) -> None:
        """Give a file, whole, synced and verified, a second name: as this blob."""
        os.chmod(path, stat.S_IRUSR | stat.S_IRGRP)
        try:
            os.link(path, self.path(digest))
        except FileExistsError:
            pass

    def collect(self, before: float) -> int:
        """Forget what was left unfinished and not touched since `before`; the bytes it had."""
        freed = 0
        for entry in os.scandir(self._ingest):
            try:
                status = entry.stat()
                if status.st_mtime < before:
                    os.unlink(entry.path)
                    freed += status.st_size
            except FileNotFoundError:
                continue  # it was committed meanwhile
        return freed

    def unfinished(self) -> int:
        """Bytes of what is on its way."""
        return sum(entry.stat().st_size for entry in os.scandir(self._ingest))

    def abandon(self, name: str) -> None:
        """Forget what a named ingest or part has kept."""
        try:
            os.unlink(self.coming(name))
        except FileNotFoundError:
            pass


class _FileIngest:
    def __init__(self, store: FileStore, path: str) -> None:
        self._store, self._path = store, path
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(path, flags, 0o600)
        self._hash = hashlib.sha256()
        self.offset = 0
        self.announce: Callable[[str], object] = silent
        while part := os.read(self._fd, 1 << 20):
            self._hash.update(part)
            self.offset += len(part)
        self._committed = False

    def write(self, chunk: bytes | memoryview) -> None:
        view = memoryview(chunk)
        self._hash.update(view)
        self.offset += len(view)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self.reset()
            if error.errno in _FULL:
                raise StoreFull(self._path) from error
            raise

    def reset(self) -> None:
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hash, self.offset = hashlib.sha256(), 0

    def commit(self, expected: str | None = None, size: int | None = None) -> Digest:
        algorithm = algorithm_of(expected)
        try:
            check_size(expected, size, self.offset)
            actual = self._digest(algorithm)
            check_digest(expected, actual)
        except errors.InvalidArgument:
            self.reset()
            raise
        self.announce(actual)
        path = self._store.path(actual)
        if os.path.exists(path):
            os.unlink(self._path)
        else:
            self._publish(path)
        self._committed = True
        return Digest(actual)

    def _publish(self, path: str) -> None:
        try:
            os.fsync(self._fd)  # where allocation is delayed, a full disk is told here
            os.fchmod(self._fd, stat.S_IRUSR | stat.S_IRGRP)
            os.rename(self._path, path)
        except OSError as error:
            if error.errno in _FULL:
                self.reset()
                raise StoreFull(self._path) from error
            raise

    def _digest(self, algorithm: str) -> str:
        if algorithm == "sha256":
            return f"sha256:{self._hash.hexdigest()}"
        other = hashlib.new(algorithm)
        os.lseek(self._fd, 0, os.SEEK_SET)
        while part := os.read(self._fd, 1 << 20):
            other.update(part)
        return f"{algorithm}:{other.hexdigest()}"

    def close(self, *, keep: bool) -> None:
        os.close(self._fd)
        if not self._committed and (not keep or self.offset == 0):
            os.unlink(self._path)


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def sync(store: FileStore) -> None:
    """Make the store's names survive a power cut."""
    for algorithm in ALGORITHMS:
        atomic.sync_directory(f"{store._blobs}/{algorithm}")
