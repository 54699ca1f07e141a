"""Sparse members of tar archives: GNU's old form and its three PAX forms, as maps of what is there.

    map = [(offset, length), …]          ascending; what lies between is zeros

tar(5) of libarchive; GNU tar's manual, "Storing Sparse Files" (PAX 0.0, 0.1, 1.0).
"""

from __future__ import annotations

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Map = list[tuple[int, int]]

_MOST = 1 << 17  # pieces of one file


class BadMap(errors.InvalidArgument):
    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: the map of a sparse member is malformed")


def old_gnu(
    header: bytes, take: Callable[[int], bytes], number: Callable[[bytes], int]
) -> tuple[Map, int]:
    """Map and true size of a member of type `S`; extension blocks are taken from the stream."""
    pieces: Map = []
    block, places, more = header, range(386, 482, 24), header[482]
    while True:
        for at in places:
            if block[at + 12 : at + 24].strip(b"\0 "):
                pieces.append((number(block[at : at + 12]), number(block[at + 12 : at + 24])))
        if not more or len(pieces) > _MOST:
            return pieces, number(header[483:495])
        block = take(512)
        if len(block) < 512:
            raise BadMap("(old GNU form)")
        places, more = range(0, 504, 24), block[504]


def pax(records: dict[str, bytes], name: str, take: Callable[[int], bytes]) -> tuple[Map, int]:
    """Map and true size from a member's extended header; version 1.0 has its map in the data."""
    size = _integer(records.get("GNU.sparse.realsize") or records.get("GNU.sparse.size"), name)
    if records.get("GNU.sparse.major") == b"1":
        return _pairs(_data_numbers(name, take), name), size
    text = records.get("GNU.sparse.map", b"")
    return _pairs([_integer(part, name) for part in text.split(b",")] if text else [], name), size


def _data_numbers(name: str, take: Callable[[int], bytes]) -> list[int]:
    """Version 1.0: a count and so many pairs, a line each, padded to a block."""
    text, count = b"", 1
    lines = 0
    while lines < count:
        block = take(512)
        if len(block) < 512 or len(text) > 64 * _MOST:
            raise BadMap(name)
        text += block
        lines += block.count(b"\n")
        if count == 1 and lines:
            count = 1 + 2 * _integer(text.split(b"\n", 1)[0], name)
    return [_integer(line, name) for line in text.split(b"\n")[1:count]]


def _integer(text: bytes | None, name: str) -> int:
    if not text or not text.isdigit() or len(text) > 19:
        raise BadMap(name)
    return int(text)


def _pairs(numbers: list[int], name: str) -> Map:
    if len(numbers) % 2:
        raise BadMap(name)
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def check(pieces: Map, size: int, stored: int, name: str) -> None:
    """Refuse what would write outside of the file, or not with the bytes that are there."""
    at = 0
    for offset, length in pieces:
        if offset < at or length < 0:
            raise BadMap(name)
        at = offset + length
    if at > size or sum(length for _, length in pieces) != stored or len(pieces) > _MOST:
        raise BadMap(name)
