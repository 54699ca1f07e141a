"""Where the bytes are: the `StorageDriver` seam, and files in a folder.

    root/blobs/sha256/ab/abcdef…       complete, verified, never changed
    root/uploads/ID                    what a push has sent so far

A blob becomes visible by rename after fsync. Who may see it is not its business.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class StorageDriver(Protocol):
    """Blocking, quick calls; a remote store would hand out local copies."""

    def path(self, digest: str) -> str:
        """The file to send; it may not exist."""

    def size(self, digest: str) -> int | None:
        """None where there is no such blob."""

    def upload(self, upload: str) -> str:
        """The file that an upload appends to, made if need be."""

    def keep(self, upload: str, digest: str) -> None:
        """The finished upload is this blob now. The caller has verified it."""

    def put(self, digest: str, data: bytes) -> None:
        """A small blob (a manifest) at once."""

    def drop(self, upload: str) -> None:
        """Forget an upload; fine if it is gone."""

    def delete(self, digest: str) -> None:
        """Fine if it is gone."""

    def digests(self) -> Iterator[str]:
        """Every blob there is."""


class FileStorage:
    def __init__(self, root: str) -> None:
        self._root = root
        for name in ("blobs", "uploads"):
            os.makedirs(f"{root}/{name}", mode=0o755, exist_ok=True)

    def path(self, digest: str) -> str:
        algorithm, _, encoded = digest.partition(":")
        return f"{self._root}/blobs/{algorithm}/{encoded[:2]}/{encoded}"

    def size(self, digest: str) -> int | None:
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            return None

    def upload(self, upload: str) -> str:
        path = f"{self._root}/uploads/{upload}"
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
        return path

    def keep(self, upload: str, digest: str) -> None:
        self._publish(f"{self._root}/uploads/{upload}", digest)

    def put(self, digest: str, data: bytes) -> None:
        if self.size(digest) == len(data):
            return
        temporary = f"{self._root}/uploads/{os.getpid()}-{digest.partition(':')[2]}"
        with open(temporary, "wb") as file:
            file.write(data)
        self._publish(temporary, digest)

    def drop(self, upload: str) -> None:
        try:
            os.unlink(f"{self._root}/uploads/{upload}")
        except FileNotFoundError:
            pass

    def delete(self, digest: str) -> None:
        try:
            os.unlink(self.path(digest))
        except FileNotFoundError:
            pass

    def digests(self) -> Iterator[str]:
        for algorithm in sorted(os.listdir(f"{self._root}/blobs")):
            for _, _, names in os.walk(f"{self._root}/blobs/{algorithm}"):
                yield from (f"{algorithm}:{name}" for name in names)

    def _publish(self, temporary: str, digest: str) -> None:
        fd = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        path = self.path(digest)
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        os.rename(temporary, path)
