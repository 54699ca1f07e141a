"""One push of a blob under way: bytes are appended to a file and hashed as they come.

A session survives a restart: what is on disk is hashed again when it goes on. Chunks must come in
order; one that does not is refused with 416 and changes nothing.
"""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING

from sampan.registry.server import digests, errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from hashlib import _Hash

    from sampan.registry.server.index import Index
    from sampan.registry.server.storage import StorageDriver

_RANGE = re.compile(r"(?:bytes[ =])?(\d+)-(\d+)(?:/(?:\d+|\*))?")
_CHUNK = 1 << 20


class Session:
    def __init__(self, path: str, algorithm: str) -> None:
        self.path = path
        self.size = 0
        self.algorithm = algorithm
        self.hash: _Hash = digests.hasher(algorithm)
        self.busy = False
        self._hash_again(algorithm)

    def _hash_again(self, algorithm: str) -> None:
        self.algorithm, self.hash, self.size = algorithm, digests.hasher(algorithm), 0
        with open(self.path, "rb") as file:
            while data := file.read(_CHUNK):
                self.hash.update(data)
                self.size += len(data)

    async def append(self, chunks: AsyncIterator[bytes]) -> None:
        """What a broken connection brought is kept; the client may ask and go on."""
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            async for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(fd, view) :]
                self.hash.update(chunk)
                self.size += len(chunk)
        finally:
            os.close(fd)

    def digest(self, algorithm: str) -> str:
        if algorithm != self.algorithm:
            self._hash_again(algorithm)
        return f"{algorithm}:{self.hash.hexdigest()}"


class Uploads:
    def __init__(self, storage: StorageDriver, index: Index) -> None:
        self._storage, self._index = storage, index
        self._open: dict[str, Session] = {}

    def start(self, repository: str, algorithm: str) -> str:
        digests.hasher(algorithm)
        upload = secrets.token_hex(16)
        self._index.start_upload(upload, repository)
        self._open[upload] = Session(self._storage.upload(upload), algorithm)
        return upload

    def get(self, repository: str, upload: str) -> Session:
        """Raises BLOB_UPLOAD_UNKNOWN."""
        if not self._index.upload_of(repository, upload):
            raise errors.upload_unknown(upload)
        session = self._open.get(upload)
        if session is None:  # begun before a restart
            session = self._open[upload] = Session(self._storage.upload(upload), "sha256")
        return session

    async def append(
        self, session: Session, body: AsyncIterator[bytes], content_range: str, length: int | None
    ) -> None:
        """Raises BLOB_UPLOAD_INVALID (416) for a chunk that is not the next one."""
        if content_range:
            match = _RANGE.fullmatch(content_range.strip())
            if match is None:
                raise errors.upload_invalid(f"{content_range!r} is no Content-Range", 400)
            first, last = int(match[1]), int(match[2])
            if first != session.size or last < first:
                raise errors.upload_invalid(
                    f"the next chunk begins at {session.size}, not at {first}"
                )
            if length is not None and length != last - first + 1:
                raise errors.upload_invalid("Content-Length and Content-Range do not agree", 400)
        if session.busy:
            raise errors.upload_invalid("another request is writing to this upload")
        session.busy = True
        try:
            await session.append(body)
        finally:
            session.busy = False

    def finish(self, repository: str, upload: str, digest: str) -> None:
        """The upload is the blob now. Raises DIGEST_INVALID, and the upload is gone."""
        session = self.get(repository, upload)
        found = session.digest(digest.partition(":")[0])
        if found != digest:
            self.drop(upload)
            raise errors.digest_invalid(digest, f"was promised, {found} was sent")
        with self._index.writing():
            self._storage.keep(upload, digest)
            self._index.link(repository, digest)
            self._index.end_upload(upload)
        self._open.pop(upload, None)

    def drop(self, upload: str) -> None:
        self._open.pop(upload, None)
        self._index.end_upload(upload)
        self._storage.drop(upload)
