"""eStargz: a gzip layer in which each file can be fetched and checked by itself.

    made = write(tar chunks, write)      made.diff_id, made.annotations

Each file's data is in gzip members of its own, at most 4 MiB of data each; the last member of the
tar is `stargz.index.json`, which says where they are and their digests; a footer of 51 bytes, an
empty gzip member, says where that table is. To everybody else it is an ordinary layer.
Source: stargz-snapshotter, docs/estargz.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zlib
from typing import TYPE_CHECKING, Any

from sampan.image import tar
from sampan.kit import clock
from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOC_DIGEST = "containerd.io/snapshot/stargz/toc.digest"
SIZE = "io.containers.estargz.uncompressed-size"
TOC_NAME, LANDMARK = "stargz.index.json", ".no.prefetch.landmark"
_CHUNK = 4 << 20
TYPES = {
    tar.REGULAR: "reg", tar.HARD_LINK: "hardlink", tar.SYMLINK: "symlink", tar.CHARACTER: "char",
    tar.BLOCK_DEVICE: "block", tar.DIRECTORY: "dir", tar.FIFO: "fifo",
}  # fmt: skip


class Written(Record):
    diff_id: str  # of the tar with its table of contents
    annotations: dict[str, str]  # of the layer's descriptor


def is_one(layer: dict[str, Any]) -> bool:
    return TOC_DIGEST in (layer.get("annotations") or {})


def without(annotations: dict[str, str]) -> dict[str, str]:
    """Those of a layer that is none any more."""
    return {k: v for k, v in annotations.items() if k not in (TOC_DIGEST, SIZE)}


class _Members:
    """gzip members, one after another, and the digest of what is in them."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.offset = 0  # bytes written, compressed
        self.size = 0  # and plain
        self.plain = hashlib.sha256()
        self._open: Any = None

    def write(self, data: bytes | memoryview) -> None:
        if self._open is None:
            self._open = zlib.compressobj(6, zlib.DEFLATED, 31)
        self.plain.update(data)
        self.size += len(data)
        self._out(self._open.compress(data))

    def close(self) -> int:
        """End the member; where the next one begins."""
        if self._open is not None:
            self._out(self._open.flush())
            self._open = None
        return self.offset

    def raw(self, data: bytes) -> None:
        self._out(data)

    def _out(self, data: bytes) -> None:
        if data:
            self._write(data)
            self.offset += len(data)


def write(stream: Iterator[bytes], out: Callable[[bytes], object]) -> Written:
    """A plain tar stream as eStargz. Raises TarError."""
    members, entries = _Members(out), list[dict[str, Any]]()
    writer, source = tar.Writer(members.write), tar.Source(stream)
    _put(members, writer, entries, _landmark(), iter([b"\x0f"]))
    for entry in tar.read(source):
        if entry.name.lstrip("./") in (TOC_NAME, LANDMARK, ".prefetch.landmark"):
            continue
        _put(members, writer, entries, entry, _data(entry, source))
    source.drain()
    toc = json.dumps({"version": 1, "entries": entries}, separators=(",", ":")).encode()
    at = members.close()
    writer.add(tar.Entry(TOC_NAME, mode=0o444), toc)
    writer.finish()
    members.close()
    members.raw(footer(at))
    annotations = {
        TOC_DIGEST: f"sha256:{hashlib.sha256(toc).hexdigest()}",
        SIZE: str(members.size),
    }
    return Written(diff_id=f"sha256:{members.plain.hexdigest()}", annotations=annotations)


def _landmark() -> tar.Entry:
    """Says that nothing is to be fetched in advance."""
    return tar.Entry(LANDMARK, mode=0o644, size=1)


def _data(entry: tar.Entry, source: tar.Source) -> Iterator[bytes | memoryview]:
    """A file's bytes; the holes of a sparse one as zeros."""
    if entry.sparse is None:
        yield from source.pieces(entry.size)
        return
    at = 0
    for offset, length in entry.sparse:
        yield from _zeros(offset - at)
        yield from source.pieces(length)
        at = offset + length
    yield from _zeros(entry.true_size - at)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield bytes(min(count, 1 << 20))
        count -= 1 << 20


def _put(
    members: _Members,
    writer: tar.Writer,
    entries: list[dict[str, Any]],
    entry: tar.Entry,
    data: Iterator[bytes | memoryview],
) -> None:
    size = entry.true_size if entry.kind == tar.REGULAR else 0
    # What reads the data must come before the header forgets that the member was sparse.
    told = _told(entry, size)
    plain = tar.Entry(entry.name, entry.kind, mode=entry.mode, size=size)
    plain.uid, plain.gid, plain.mtime = entry.uid, entry.gid, entry.mtime
    plain.link, plain.device, plain.xattrs = entry.link, entry.device, entry.xattrs
    members.close()
    writer.begin(plain)
    entries.append(told)
    if not size:
        return
    whole = hashlib.sha256()
    for at, chunk in _chunked(data):
        begins = members.close()
        whole.update(chunk)
        members.write(chunk)
        part = told if at == 0 else {"name": told["name"], "type": "chunk", "chunkOffset": at}
        part["offset"] = begins
        part["chunkDigest"] = f"sha256:{hashlib.sha256(chunk).hexdigest()}"
        if size > _CHUNK:
            part["chunkSize"] = len(chunk)
        if at:
            entries.append(part)
    told["digest"] = f"sha256:{whole.hexdigest()}"
    members.close()
    writer.pad(size)


def _chunked(data: Iterator[bytes | memoryview]) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of 4 MiB each, but the last."""
    at, buffer = 0, bytearray()
    for piece in data:
        buffer += piece
        while len(buffer) >= _CHUNK:
            yield at, bytes(buffer[:_CHUNK])
            del buffer[:_CHUNK]
            at += _CHUNK
    if buffer:
        yield at, bytes(buffer)


def _told(entry: tar.Entry, size: int) -> dict[str, Any]:
    """A member as the table of contents has it."""
    told: dict[str, Any] = {"name": entry.name, "type": TYPES[entry.kind], "mode": entry.mode}
    told["modtime"] = clock.rfc3339(entry.mtime // 10**9 * 10**9).replace(".000000000Z", "Z")
    if size:
        told["size"] = size
    for key, value in (("uid", entry.uid), ("gid", entry.gid), ("linkName", entry.link)):
        if value:
            told[key] = value
    if entry.kind in (tar.CHARACTER, tar.BLOCK_DEVICE):
        told["devMajor"], told["devMinor"] = entry.device
    if entry.xattrs:
        told["xattrs"] = {k: base64.b64encode(v).decode() for k, v in entry.xattrs.items()}
    told["name"] = os.fsencode(entry.name).decode("utf-8", "replace")
    return told


def footer(toc_offset: int) -> bytes:
    """An empty gzip member whose extra field `SG` says where the table's member begins."""
    field = b"%016xSTARGZ" % toc_offset
    extra = b"SG" + len(field).to_bytes(2, "little") + field
    head = b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff" + len(extra).to_bytes(2, "little") + extra
    return head + b"\x01\x00\x00\xff\xff" + bytes(8)
