"""As much of the DNS wire format as the embedded server needs, pure (RFC 1035, section 4).

A query with one question is parsed, with the size of answer that its EDNS record allows (RFC
6891); answers hold records of one type and what helps with them; all else travels as the bytes it
came in.
"""

from __future__ import annotations

import socket
import struct

from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

A, SOA, PTR, AAAA, SRV, OPT, IN = 1, 6, 12, 28, 33, 41, 1
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
_DAY = 86400  # seconds: nothing is kept longer
_HEADER = struct.Struct(">HHHHHH")  # id, flags, questions, answers, authorities, additionals
_QR, _AA, _TC, _RD, _RA, _OPCODE = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x7800
_POINTER = 0xC000 | _HEADER.size  # the question's name, which stands right after the header
UDP_LIMIT = 512  # section 4.2.1
_EDNS_LIMIT = 4096  # ours
_OPT = struct.pack(">BHHIH", 0, OPT, _EDNS_LIMIT, 0, 0)
_RECORD = struct.Struct(">HHIH")  # type, class, TTL, length of data


class Query(Record):
    """One question. `name` in lower case without the last dot; `question` its bytes.

    `limit`: bytes that an answer by UDP may have; `edns`: whether one may say so too.
    """

    id: int
    flags: int
    name: str
    type: int
    question: bytes
    limit: int = UDP_LIMIT
    edns: bool = False


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
    size = _payload(data, end)
    return Query(
        id=number,
        flags=flags,
        name=name,
        type=kind,
        question=question,
        limit=min(max(size, UDP_LIMIT), _EDNS_LIMIT),
        edns=size > 0,
    )


def _payload(data: bytes, offset: int) -> int:
    """What the OPT record after a question says a client can take; 0 without one."""
    if data[6:10] != bytes(4) or data[offset : offset + 3] != b"\0\0\x29":
        return 0
    size = data[offset + 3 : offset + 5]
    return int.from_bytes(size, "big") if len(data) >= offset + 11 else 0


def answer(
    query: Query, records: Sequence[bytes], *, ttl: int, limit: int, extra: Sequence[bytes] = ()
) -> bytes:
    """An authoritative answer: data of records of the query's own type, and whole `extra` ones.

    What does not fit in `limit` is left out, with the flag that makes a client ask by TCP.
    """
    head = struct.pack(">HHHI", _POINTER, query.type, IN, ttl)
    options = _OPT if query.edns else b""
    room = limit - _HEADER.size - len(query.question) - len(options)
    parts: list[bytes] = []
    for data in records:
        part = head + struct.pack(">H", len(data)) + data
        room -= len(part)
        if room < 0:
            break
        parts.append(part)
    helpful = [*extra] if sum(map(len, extra)) <= room else []
    flags = _QR | _AA | _RA | query.flags & _RD | (_TC if len(parts) < len(records) else 0)
    counts = (1, len(parts), 0, len(helpful) + bool(options))
    body = b"".join((query.question, *parts, *helpful, options))
    return _HEADER.pack(query.id, flags, *counts) + body


def address(text: str) -> bytes:
    """The data of an A or AAAA record."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def address_record(name: str, text: str, ttl: int) -> bytes:
    """A whole record, for the additional section."""
    data = address(text)
    kind = A if len(data) == 4 else AAAA
    return pointer(name) + _RECORD.pack(kind, IN, ttl, len(data)) + data


def service(port: int, target: str) -> bytes:
    """The data of an SRV record (RFC 2782), all of one priority and weight."""
    return struct.pack(">HHH", 0, 0, port) + pointer(target)


def failure(query: Query, code: int) -> bytes:
    flags = _QR | _RA | query.flags & _RD | code
    options = _OPT if query.edns else b""
    return _HEADER.pack(query.id, flags, 1, 0, 0, bool(options)) + query.question + options


def pointer(name: str) -> bytes:
    labels = (label.encode("latin-1", "replace") for label in name.split("."))
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def reverse_address(name: str) -> str | None:
    """`4.3.2.1.in-addr.arpa` → `1.2.3.4`; `….ip6.arpa` likewise (RFC 3596)."""
    if name.endswith(".ip6.arpa"):
        nibbles = name.removesuffix(".ip6.arpa").split(".")
        if len(nibbles) != 32 or not all(n in "0123456789abcdef" and len(n) == 1 for n in nibbles):
            return None
        return socket.inet_ntop(socket.AF_INET6, bytes.fromhex("".join(reversed(nibbles))))
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


def truncated(reply: bytes) -> bool:
    return bool(reply[2] & (_TC >> 8))


class Lifetime(Record):
    """How long an answer may be kept, in seconds, and where its TTLs stand."""

    seconds: int
    offsets: tuple[int, ...]


def lifetime(reply: bytes) -> Lifetime | None:
    """Of an answer from elsewhere; None for one that must not be kept.

    The smallest TTL of all records. A "no" lives as long as its SOA record says (RFC 2308,
    section 5); without one it is not kept.
    """
    if len(reply) < _HEADER.size or truncated(reply) or code(reply) not in (NOERROR, NXDOMAIN):
        return None
    try:
        return _lifetime(reply)
    except (IndexError, struct.error):
        return None  # malformed; the client may make of it what it can


def _lifetime(reply: bytes) -> Lifetime | None:
    _, _, questions, answers, authorities, additionals = _HEADER.unpack_from(reply)
    offset = _HEADER.size
    for _ in range(questions):
        offset = _skip_name(reply, offset) + 4
    offsets, seconds, negative = [], [], []
    for _ in range(answers + authorities + additionals):
        offset = _skip_name(reply, offset)
        kind, _, ttl, size = _RECORD.unpack_from(reply, offset)
        if kind != OPT:
            offsets.append(offset + 4)
            seconds.append(ttl if ttl < 1 << 31 else 0)  # RFC 2181, section 8
        offset += _RECORD.size + size
        if offset > len(reply):
            return None
        if kind == SOA:
            negative.append(struct.unpack_from(">I", reply, offset - 4)[0])
    if not seconds or (not answers and not negative):
        return None
    return Lifetime(seconds=min(*seconds, *negative, _DAY), offsets=tuple(offsets))


def addresses(reply: bytes) -> list[tuple[str, int]]:
    """The addresses in an answer, whatever names lead to them, and their TTLs."""
    found = []
    try:
        _, _, questions, answers, _, _ = _HEADER.unpack_from(reply)
        offset = _HEADER.size
        for _ in range(questions):
            offset = _skip_name(reply, offset) + 4
        for _ in range(answers):
            offset = _skip_name(reply, offset)
            kind, _, ttl, size = _RECORD.unpack_from(reply, offset)
            offset += _RECORD.size + size
            family = {A: socket.AF_INET, AAAA: socket.AF_INET6}.get(kind)
            if family is not None:
                found.append((socket.inet_ntop(family, reply[offset - size : offset]), ttl))
    except (IndexError, ValueError, struct.error):
        pass  # what came before the malformed record
    return found


def _skip_name(data: bytes, offset: int) -> int:
    while size := data[offset]:
        if size >= 0xC0:
            return offset + 2
        offset += 1 + size
    return offset + 1


def aged(reply: bytes, offsets: Sequence[int], seconds: int) -> bytes:
    """The same answer with its TTLs that much smaller."""
    changed = bytearray(reply)
    for offset in offsets:
        ttl = int.from_bytes(changed[offset : offset + 4], "big")
        changed[offset : offset + 4] = max(0, ttl - seconds).to_bytes(4, "big")
    return bytes(changed)
