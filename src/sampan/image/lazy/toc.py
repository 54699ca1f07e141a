"""An eStargz table of contents, read: where it is, whether it is the right one, what it says.

Source: stargz-snapshotter, docs/estargz.md. What a lazy layer cannot be made of raises NotLazy:
such a layer is pulled whole.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sampan.image import compress, tar
from sampan.image.estargz import TOC_NAME, TYPES
from sampan.kit import clock, errors

if TYPE_CHECKING:
    from collections.abc import Iterator

FOOTER = 51  # bytes
LARGEST_CHUNK = 64 << 20  # what is held in memory at once
_KINDS = {name: kind for kind, name in TYPES.items()}
_REPLACED = "\ufffd"


class NotLazy(errors.Unsupported):
    """The layer cannot be read piece by piece."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the layer cannot be fetched piece by piece: {why}")


class Chunk(NamedTuple):
    """Bytes of one file: `at` in the file, `inner` in what the blob inflates to from `offset`."""

    at: int
    size: int
    offset: int
    inner: int
    digest: str


class Member(NamedTuple):
    entry: tar.Entry
    chunks: tuple[Chunk, ...]


def footer(data: bytes) -> int:
    """Where in the blob the table's gzip member begins, by the blob's last FOOTER bytes."""
    found = data[16:38]
    if len(data) != FOOTER or data[:4] != b"\x1f\x8b\x08\x04" or not found.endswith(b"STARGZ"):
        raise NotLazy("it has no eStargz footer")
    try:
        return int(found[:16], 16)
    except ValueError:
        raise NotLazy("its footer names no offset") from None


def unpack(packed: bytes, digest: str) -> bytes:
    """The table out of its gzip member, when its digest is the one that the manifest names."""
    try:
        source = tar.Source(compress.decompress(iter([packed])))
        entry = next(tar.read(source), None)
        if entry is None or entry.name != TOC_NAME:
            raise NotLazy("there is no table of contents where its footer says")
        table = b"".join(source.pieces(entry.size))
    except (compress.Corrupt, tar.TarError) as error:
        raise NotLazy(f"its table of contents cannot be read ({error})") from error
    actual = f"sha256:{hashlib.sha256(table).hexdigest()}"
    if actual != digest:
        raise NotLazy(f"its table of contents is {actual}, the manifest says {digest}")
    return table


def read(table: bytes) -> Iterator[Member]:
    """The members in the order of the tar."""
    try:
        entries = json.loads(table)["entries"]
        at = 0
        while at < len(entries):
            first = at
            at += 1
            while at < len(entries) and entries[at]["type"] == "chunk":
                at += 1
            yield _member(entries[first], entries[first:at])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise NotLazy(f"its table of contents is malformed ({error!r})") from error


def _member(told: dict[str, Any], parts: list[dict[str, Any]]) -> Member:
    name, link = str(told["name"]), str(told.get("linkName") or "")
    if _REPLACED in name + link:
        raise NotLazy("a name in it is no UTF-8")
    entry = tar.Entry(name, _KINDS[told["type"]])
    entry.mode = int(told.get("mode") or 0) & 0o7777
    entry.uid, entry.gid = int(told.get("uid") or 0), int(told.get("gid") or 0)
    entry.mtime = _time(told["modtime"]) if told.get("modtime") else 0
    entry.link = link
    entry.device = int(told.get("devMajor") or 0), int(told.get("devMinor") or 0)
    if told.get("xattrs"):
        entry.xattrs = {k: base64.b64decode(v) for k, v in told["xattrs"].items()}
    if entry.kind == tar.REGULAR:
        entry.size = entry.true_size = int(told.get("size") or 0)
    if not (name + link).isascii():
        os.fsencode(name + link)  # refuses halves of characters
    return Member(entry, tuple(_chunks(entry, told, parts)) if entry.size else ())


@lru_cache(256)
def _time(text: str) -> int:
    return clock.parse(text)


def _chunks(entry: tar.Entry, told: dict[str, Any], parts: list[dict[str, Any]]) -> Iterator[Chunk]:
    """A file's chunks; together they are just its bytes."""
    at = 0
    for part in parts:
        size = int(part.get("chunkSize") or entry.size - at)
        digest = part.get("chunkDigest") or (told.get("digest") if len(parts) == 1 else None)
        if int(part.get("chunkOffset") or 0) != at or not 0 < size <= entry.size - at:
            raise NotLazy(f"the chunks of {entry.name} do not follow one another")
        if size > LARGEST_CHUNK or not str(digest).startswith("sha256:"):
            raise NotLazy(f"a chunk of {entry.name} is too large, or has no digest")
        inner = int(part.get("innerOffset") or 0)
        yield Chunk(at, size, int(part["offset"]), inner, str(digest))
        at += size
    if at != entry.size:
        raise NotLazy(f"the chunks of {entry.name} are {at} bytes of {entry.size}")
