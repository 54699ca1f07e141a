"""Reading: headers of all kinds become entries."""

from __future__ import annotations

import os

from sampan.image import sparse
from sampan.image.tar.entry import (
    BLOCK,
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMLINK,
    XATTR,
    Entry,
)
from sampan.image.tar.source import TarError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.image.tar.source import Source

_KINDS = {
    b"0": REGULAR, b"\0": REGULAR, b"7": REGULAR, b"1": HARD_LINK, b"2": SYMLINK,
    b"3": CHARACTER, b"4": BLOCK_DEVICE, b"5": DIRECTORY, b"6": FIFO, b"S": REGULAR,
}  # fmt: skip
_LARGEST_EXTENSION = 1 << 20
_NOBODY = (1 << 32) - 1  # to chown(2): leave as it is


def read(source: Source) -> Iterator[Entry]:
    """The members in order. What the caller leaves of a member's data is skipped."""
    pax: dict[str, bytes] = {}
    global_pax: dict[str, bytes] = {}
    long_name = long_link = None
    while True:
        header = source.take(BLOCK)
        if len(header) < BLOCK:
            if header.strip(b"\0"):
                raise TarError("the archive ends in the middle of a header")
            return
        if header[0] == 0 and not header.strip(b"\0"):
            return
        _check(header)
        kind, size = header[156:157], _number(header[124:136])
        if kind in (b"x", b"g", b"L", b"K", b"X"):
            data = _extension(source, size)
            if kind in b"xX":
                pax = _pax(data)
            elif kind == b"g":
                global_pax |= _pax(data)
            elif kind == b"L":
                long_name = data.split(b"\0", 1)[0]
            else:
                long_link = data.split(b"\0", 1)[0]
            continue
        entry = _entry(header, kind, size, long_name, long_link)
        if pax or global_pax:
            _apply(entry, {**global_pax, **pax})
        end = _end(source, entry, header, pax)
        pax, long_name, long_link = {}, None, None
        _limits(entry)
        yield entry
        source.skip(end - source.offset)


def _end(source: Source, entry: Entry, header: bytes, pax: dict[str, bytes]) -> int:
    """Where the next header is; a sparse member's map is read on the way."""
    if entry.kind != REGULAR:
        return source.offset
    if header[156:157] == b"S":
        entry.sparse, entry.true_size = sparse.old_gnu(header, source.take, _number)
    end = source.offset + entry.size + -entry.size % BLOCK
    if any(key.startswith("GNU.sparse.") for key in pax):
        before = source.offset
        entry.sparse, entry.true_size = sparse.pax(pax, entry.name, source.take)
        entry.size -= source.offset - before
    if entry.sparse is not None:
        sparse.check(entry.sparse, entry.true_size, entry.size, entry.name)
    return end


def _limits(entry: Entry) -> None:
    """Numbers that no system call takes are refused here, by the member's name."""
    seconds = entry.mtime // 10**9
    owners = 0 <= entry.uid < _NOBODY and 0 <= entry.gid < _NOBODY
    if not owners or abs(seconds) >= 1 << 62 or max(entry.device) >= 1 << 31:
        raise TarError(f"{entry.name}: an owner, a time or a device number is out of range")
    if "\0" in entry.name + entry.link:
        raise TarError(f"{entry.name!r}: a name with a zero byte")


def _extension(source: Source, size: int) -> bytes:
    if size > _LARGEST_EXTENSION:
        raise TarError(f"an extended header of {size} bytes is too large")
    data = source.take(size + -size % BLOCK)[:size]
    if len(data) < size:
        raise TarError("the archive ends in the middle of an extended header")
    return data


def _entry(header: bytes, kind: bytes, size: int, name: bytes | None, link: bytes | None) -> Entry:
    if name is None:
        name = header[:100].split(b"\0", 1)[0]
        if header[257:263] == b"ustar\0" and header[345]:
            name = header[345:500].split(b"\0", 1)[0] + b"/" + name
    if kind not in _KINDS:
        raise TarError(f"{os.fsdecode(name)}: members of type {kind!r} are not supported")
    entry = Entry(os.fsdecode(name), _KINDS[kind])
    if kind == b"\0" and entry.name.endswith("/"):
        entry.kind = DIRECTORY  # as tars before POSIX wrote it; later ones cut names
    entry.mode = _number(header[100:108]) & 0o7777
    entry.uid, entry.gid = _number(header[108:116]), _number(header[116:124])
    entry.mtime = _number(header[136:148]) * 1_000_000_000
    entry.size = entry.true_size = size if entry.kind == REGULAR else 0
    if size < 0:
        raise TarError(f"{entry.name}: a size below zero")
    if entry.kind in (HARD_LINK, SYMLINK):
        entry.link = os.fsdecode(link or header[157:257].split(b"\0", 1)[0])
    elif entry.kind in (CHARACTER, BLOCK_DEVICE):
        entry.device = (_number(header[329:337]), _number(header[337:345]))
    return entry


def _apply(entry: Entry, pax: dict[str, bytes]) -> None:
    try:
        for key, value in pax.items():
            if key.startswith(XATTR):
                entry.xattrs[key[len(XATTR) :]] = value
            elif not value:
                continue  # "shall delete any header block field": ours keeps what is there
            elif (key == "path" and "GNU.sparse.name" not in pax) or key == "GNU.sparse.name":
                entry.name = os.fsdecode(value)
            elif key == "linkpath" and entry.kind in (HARD_LINK, SYMLINK):
                entry.link = os.fsdecode(value)
            elif key == "size" and entry.kind == REGULAR:
                entry.size = entry.true_size = _decimal(value)
            elif key == "mtime":
                entry.mtime = _nanoseconds(value.decode())
            elif key in ("uid", "gid"):
                setattr(entry, key, _decimal(value))
    except ValueError as error:
        raise TarError(f"{entry.name}: bad extended header: {error}") from None


def _decimal(text: bytes) -> int:
    if not text.isdigit():
        raise ValueError(f"{text[:32]!r} is no number")
    return int(text)


def _nanoseconds(text: str) -> int:
    whole, _, fraction = text.partition(".")
    sign = -1 if whole.startswith("-") else 1
    return int(whole or 0) * 10**9 + sign * int(fraction[:9].ljust(9, "0") or 0)


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # base-256, GNU: the sign in the second bit
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big") - (
            1 << (8 * len(field) - 1) if field[0] & 0x40 else 0
        )
    text = field.split(b"\0", 1)[0].strip()
    if text.strip(b"01234567"):
        raise TarError(f"{field!r} in a header is no octal number")
    return int(text, 8) if text else 0


def _check(header: bytes) -> None:
    """The sum of the header's bytes; some old tars took them as signed."""
    try:
        stored = _number(header[148:156])
    except TarError:
        stored = -1
    actual = sum(header) - sum(header[148:156]) + 256
    if actual != stored:
        signed = actual - 256 * sum(1 for byte in header[:148] + header[156:] if byte > 127)
        if signed != stored:
            raise TarError("this is no tar archive: a header's checksum is wrong")


def _pax(data: bytes) -> dict[str, bytes]:
    """`LENGTH KEY=VALUE\\n` records. Sparse maps of version 0.0, a record for each number, become
    those of 0.1."""
    records: dict[str, bytes] = {}
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 12)
        length = data[at:space]
        end = at + int(length) if space > 0 and length.isdigit() else 0
        if end <= space + 2 or end > len(data):
            raise TarError("an extended header is malformed")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or b"\0" in key or data[end - 1] != 10:
            raise TarError("an extended header is malformed")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            pieces.append(value)
        records[os.fsdecode(key)] = value
        at = end
    if pieces:
        records["GNU.sparse.map"] = b",".join(pieces)
    return records
