"""As much of the DNS wire format as the embedded server needs, pure (RFC 1035, section 4).

A query with one question is parsed; answers hold A or PTR records; all else travels as the bytes
it came in.
"""

from __future__ import annotations

import struct
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

A, PTR, AAAA, IN = 1, 12, 28, 1
NOERROR, SERVFAIL, REFUSED = 0, 2, 5
_HEADER = struct.Struct(">HHHHHH")  # id, flags, questions, answers, authorities, additionals
_QR, _AA, _TC, _RD, _RA, _OPCODE = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x7800
_POINTER = 0xC000 | _HEADER.size  # the question's name, which stands right after the header
UDP_LIMIT = 512  # section 4.2.1


class Query(Record):
    """One question. `name` in lower case without the last dot; `question` its bytes."""

    id: int
    flags: int
    name: str
    type: int
    question: bytes


def parse(data: bytes) -> Query | None:
    """The query in a message; None for what is none, or is malformed."""
    if len(data) < _HEADER.size:
        return None
    number, flags, questions, *_ = _HEADER.unpack_from(data)
    if flags & (_QR | _OPCODE) or questions != 1:
        return None
    labels, offset = [], _HEADER.size
    while offset < len(data) and data[offset]:
        size = data[offset]
        if size > 63 or offset - _HEADER.size > 254:  # a pointer has no place in a question
            return None
        labels.append(data[offset + 1 : offset + 1 + size])
        offset += 1 + size
    end = offset + 5
    if end > len(data):
        return None
    kind, klass = struct.unpack_from(">HH", data, offset + 1)
    if klass != IN:
        return None
    name = b".".join(labels).decode("latin-1").lower()
    question = data[_HEADER.size : end]
    return Query(id=number, flags=flags, name=name, type=kind, question=question)


def answer(query: Query, records: Sequence[bytes], *, ttl: int, limit: int = 65535) -> bytes:
    """An authoritative answer of records of the query's own type: packed addresses, or `pointer`.

    What does not fit in `limit` is left out, with the flag that makes a client ask by TCP.
    """
    head = struct.pack(">HHHI", _POINTER, query.type, IN, ttl)
    room = limit - _HEADER.size - len(query.question)
    parts: list[bytes] = []
    for data in records:
        part = head + struct.pack(">H", len(data)) + data
        room -= len(part)
        if room < 0:
            break
        parts.append(part)
    flags = _QR | _AA | _RA | query.flags & _RD | (_TC if len(parts) < len(records) else 0)
    return _HEADER.pack(query.id, flags, 1, len(parts), 0, 0) + query.question + b"".join(parts)


def failure(query: Query, code: int) -> bytes:
    flags = _QR | _RA | query.flags & _RD | code
    return _HEADER.pack(query.id, flags, 1, 0, 0, 0) + query.question


def pointer(name: str) -> bytes:
    labels = (label.encode("latin-1", "replace") for label in name.split("."))
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def reverse_address(name: str) -> str | None:
    """`4.3.2.1.in-addr.arpa` → `1.2.3.4`; `….ip6.arpa` likewise (RFC 3596)."""
    if name.endswith(".ip6.arpa"):
        nibbles = name.removesuffix(".ip6.arpa").split(".")
        if len(nibbles) != 32 or not all(n in "0123456789abcdef" and len(n) == 1 for n in nibbles):
            return None
        return str(IPv6Address(int("".join(reversed(nibbles)), 16)))
    parts = name.split(".")
    if len(parts) != 6 or parts[4:] != ["in-addr", "arpa"]:
        return None
    if not all(p.isdecimal() and int(p) < 256 for p in parts[:4]):
        return None
    return ".".join(reversed(parts[:4]))


def code(reply: bytes) -> int:
    return reply[3] & 15


def answers(reply: bytes, number: int, question: bytes) -> bool:
    """Whether `reply` is one to the question that was sent under this id."""
    if len(reply) < _HEADER.size + len(question) or reply[:2] != struct.pack(">H", number):
        return False
    echoed = reply[_HEADER.size : _HEADER.size + len(question)]
    return bool(reply[2] & 0x80) and echoed.lower() == question.lower()


def with_id(message: bytes, number: int) -> bytes:
    return struct.pack(">H", number) + message[2:]
