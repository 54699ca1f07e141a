"""A lazy layer on its way: what came is checked and put in its place, and at the end all of it.

The directory `l/N` of such a layer holds besides the usual `layer`, its index whole and its data
holes at first:

    promise   what it is: blob, size, diff_id, where the table begins, which registry (Promise)
    toc       the table of contents
    blob      the compressed bytes so far, each at its place, holes between
    device    the path of the device that shows it, as the page server wrote it down

No book is kept of what has come: after a crash a span of `blob` counts when it inflates to the
digests of its chunks. `promise` goes away when the layer is whole and verified; from then on it is
an ordinary layer, and its blob one in the content store.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from typing import TYPE_CHECKING

from sampan.image import compress, tar
from sampan.image.descent import clean
from sampan.image.erofs import index
from sampan.image.erofs.keep import write
from sampan.image.estargz import TOC_NAME
from sampan.image.lazy.plan import Plan
from sampan.image.unpack import DiffIdMismatch
from sampan.kit import atomic, errors
from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.image.content import FileStore
    from sampan.image.lazy.plan import Span
    from sampan.image.lazy.toc import Member

NAME = "promise"
_READ = 1 << 16  # bytes at a time: a gzip member copies what of them follows it


class Promise(Record):
    reference: str  # REGISTRY/REPOSITORY@DIGEST of the image it came with
    blob: str  # digest
    size: int  # of the blob
    diff_id: str
    toc_offset: int
    failed: str = ""  # why the layer can never become whole


class WrongBytes(errors.Unavailable):
    """What came is not what the table of contents names."""


class Broken(errors.InvalidArgument):
    """The layer is not what its image says, whoever sends it."""


def promised(place: str) -> Promise | None:
    """What the layer in a directory still waits for; None: it is whole (or gone)."""
    try:
        with open(f"{place}/{NAME}", encoding="utf-8") as file:
            return Promise(**json.load(file))
    except FileNotFoundError:
        return None


def write_promise(place: str, promise: Promise) -> None:
    text = json.dumps({name: getattr(promise, name) for name in Promise._fields})
    atomic.write(f"{place}/{NAME}", text.encode())


class Start(Record):
    """What a lazy layer is made of."""

    promise: Promise
    table: bytes
    tail: bytes  # the end of the blob, from the table on
    plan: Plan


def begin(place: str, start: Start) -> None:
    """Fill the directory of a new layer. Raises index.TooLarge."""
    promise, plan, tail = start.promise, start.plan, start.tail
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    fd = os.open(f"{place}/layer", flags, 0o600)
    try:
        write(fd, plan.index(), 0)
        os.ftruncate(fd, plan.size)
    finally:
        os.close(fd)
    fd = os.open(f"{place}/blob", flags, 0o600)
    try:
        write(fd, tail, promise.size - len(tail))
    finally:
        os.close(fd)
    with open(f"{place}/toc", "wb") as file:
        file.write(start.table)
    write_promise(place, promise)


class Filling:
    """All methods may be called from threads; each span is accepted by one at a time."""

    def __init__(self, place: str, promise: Promise) -> None:
        self.place, self.promise = place, promise
        with open(f"{place}/toc", "rb") as file:
            self.plan = Plan(file.read(), promise.size, promise.toc_offset)
        flags = os.O_RDWR | os.O_CLOEXEC
        self._layer = os.open(f"{place}/layer", flags)
        self._blob = os.open(f"{place}/blob", flags)
        self.trusted = True  # whether what `blob` has may be what was sent
        self.has = bytearray(len(self.plan.spans))  # spans accepted by this process

    def read(self, offset: int, size: int) -> bytes:
        """Bytes of the layer file as they are: what is read must be accepted before."""
        return os.pread(self._layer, size, offset)

    def missing(self, offset: int, size: int) -> list[int]:
        """Spans that must come before these bytes of the layer file can be read."""
        if offset + size <= index.RESERVE:
            return []
        return [number for number in self.plan.spans_of(offset, size) if not self.has[number]]

    def recall(self, number: int) -> bool:
        """Accept a span that is on the disk already, if it is there and right."""
        span = self.plan.spans[number]
        own = span.start >= self.promise.toc_offset  # came with the table
        if not self.trusted or not (span.pieces or own):
            return False
        try:
            self._place(span, os.pread(self._blob, span.end - span.start, span.start))
        except WrongBytes:
            return False
        self.has[number] = 1
        return True

    def accept(self, number: int, data: bytes) -> None:
        """Check a span's bytes and keep them. Raises WrongBytes."""
        span = self.plan.spans[number]
        if len(data) != span.end - span.start:
            raise WrongBytes(f"bytes {span.start}-{span.end - 1} are {len(data)}")
        self._place(span, data)
        write(self._blob, data, span.start)
        self.has[number] = 1

    def _place(self, span: Span, data: bytes) -> None:
        plain = _inflated(span, data)
        for piece in span.pieces:
            part = plain[piece.inner : piece.inner + piece.size]
            actual = f"sha256:{hashlib.sha256(part).hexdigest()}"
            if actual != piece.digest:
                raise WrongBytes(
                    f"bytes {span.start}-{span.end - 1} hold a chunk of {actual},"
                    f" the table of contents says {piece.digest}"
                )
        for piece in span.pieces:
            write(self._layer, plain[piece.inner : piece.inner + piece.size], piece.place)

    def forget(self) -> None:
        """Everything is to come again: the blob as a whole was not what it should be."""
        self.trusted = False
        self.has = bytearray(len(self.has))

    # -- when all has come

    def verify(self) -> None:
        """Raises WrongBytes where the blob's digest is another, Broken where it is right, and its
        diff_id or its tar is not what the image says."""
        actual = self._digest()
        if actual != self.promise.blob:
            raise WrongBytes(f"all of it has come, but it is {actual}")
        digest = hashlib.sha256()
        source = tar.Source(self._plain(digest))
        members = iter(self.plan.members)
        try:
            for entry in tar.read(source):
                if clean(entry.name) != TOC_NAME:
                    _compare(next(members, None), entry, source)
            source.drain()
        except (compress.Corrupt, tar.TarError) as error:
            raise Broken(str(error)) from error
        if (left := next(members, None)) is not None:
            raise Broken(f"its table of contents has {left.entry.name}, its tar has not")
        diff_id = f"sha256:{digest.hexdigest()}"
        if diff_id != self.promise.diff_id:
            raise Broken(str(DiffIdMismatch(self.promise.diff_id, diff_id)))

    def _digest(self) -> str:
        algorithm = self.promise.blob.partition(":")[0]
        digest = hashlib.new(algorithm)
        for chunk in self._packed():
            digest.update(chunk)
        return f"{algorithm}:{digest.hexdigest()}"

    def _packed(self) -> Iterator[bytes]:
        for at in range(0, self.promise.size, _READ):
            yield os.pread(self._blob, min(_READ, self.promise.size - at), at)

    def _plain(self, digest: hashlib._Hash) -> Iterator[bytes]:
        for chunk in compress.decompress(self._packed()):
            digest.update(chunk)
            yield chunk

    def finish(self, store: FileStore) -> None:
        """The blob into the store. `settle` follows when nobody asks us for bytes any more."""
        os.fsync(self._layer)
        os.fsync(self._blob)
        store.adopt(f"{self.place}/blob", self.promise.blob)

    def settle(self) -> None:
        """From here on it is an ordinary layer."""
        os.unlink(f"{self.place}/{NAME}")
        for name in ("toc", "blob", "device"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self.place}/{name}")
        atomic.sync_directory(self.place)

    def fail(self, why: str) -> None:
        write_promise(self.place, self.promise.replace(failed=why))

    def gone(self) -> bool:
        """Whether the layer was removed meanwhile."""
        return not os.path.exists(f"{self.place}/{NAME}")

    def file(self) -> int:
        """The layer file itself, for reading, as a descriptor of the caller's."""
        return fcntl.fcntl(self._layer, fcntl.F_DUPFD_CLOEXEC, 3)

    def close(self) -> None:
        os.close(self._layer)
        os.close(self._blob)


def _inflated(span: Span, data: bytes) -> bytes:
    """As much of a span as its chunks need."""
    need = max((piece.inner + piece.size for piece in span.pieces), default=0)
    if not need:
        return b""
    plain = bytearray()
    try:
        for part in compress.decompress(iter([data])):
            plain += part
            if len(plain) >= need:
                return bytes(plain)
    except compress.Corrupt as error:
        raise WrongBytes(f"bytes {span.start}-{span.end - 1}: {error}") from error
    raise WrongBytes(f"bytes {span.start}-{span.end - 1} hold too little")


def _compare(member: Member | None, entry: tar.Entry, source: tar.Source) -> None:
    """A member of the tar with the table's: what is unpacked must be what was mounted."""
    if member is None or _told(member.entry) != _told(entry):
        raise Broken(f"its table of contents says otherwise about {entry.name}")
    for chunk in member.chunks:
        digest = hashlib.sha256()
        for part in source.pieces(chunk.size):
            digest.update(part)
        if f"sha256:{digest.hexdigest()}" != chunk.digest:
            raise Broken(f"its table of contents has other bytes of {entry.name}")


def _told(entry: tar.Entry) -> tuple[object, ...]:
    return (
        clean(entry.name), entry.kind, entry.mode, entry.uid, entry.gid, entry.mtime // 10**9,
        entry.size, clean(entry.link) if entry.kind == tar.HARD_LINK else entry.link,
        entry.device, entry.xattrs,
    )  # fmt: skip
