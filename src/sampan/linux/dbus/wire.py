"""D-Bus messages as bytes, both ways; no sockets here.

Values are Python's by signature: numbers, texts, lists for arrays (of `{..}`: of pairs), tuples for
structs. A variant is written as (signature, value) and read as the value alone.
https://dbus.freedesktop.org/doc/dbus-specification.html#message-protocol
"""

from __future__ import annotations

import struct

from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE = range(1, 9)
_FIELDS = {PATH: "o", REPLY_SERIAL: "u", SIGNATURE: "g"}  # the others are texts
_NUMBERS = {
    "y": "B",
    "b": "I",
    "n": "h",
    "q": "H",
    "i": "i",
    "u": "I",
    "x": "q",
    "t": "Q",
    "d": "d",
}
_LARGEST = 128 << 20  # bytes of one message


class WireError(ValueError):
    """Bytes or values that are no D-Bus message."""


class Message(Record):
    kind: int
    serial: int
    fields: dict[int, Any]
    body: tuple[Any, ...] = ()


def pack(
    kind: int, serial: int, fields: dict[int, Any], signature: str, body: tuple[Any, ...]
) -> bytes:
    content = _Writer()
    for one, value in zip(split(signature), body, strict=True):
        content.put(one, value)
    if signature:
        fields = {**fields, SIGNATURE: signature}
    head = _Writer()
    head.data += struct.pack("<cBBBII", b"l", kind, 0, 1, len(content.data), serial)
    head.put("a(yv)", [(code, (_FIELDS.get(code, "s"), v)) for code, v in fields.items()])
    head.pad(8)
    return bytes(head.data + content.data)


def unpack(data: bytes) -> tuple[Message, int] | None:
    """(the first message, its length), or None where it is not there as a whole."""
    if len(data) < 16:
        return None
    order = {b"l": "<", b"B": ">"}.get(data[:1])
    if order is None or data[3] != 1:
        raise WireError(f"no D-Bus message: it begins with {data[:4]!r}")
    body_size, serial, fields_size = struct.unpack_from(order + "III", data, 4)
    begin = (16 + fields_size + 7) & ~7
    if begin + body_size > _LARGEST:
        raise WireError(f"a D-Bus message of {begin + body_size} bytes")
    if len(data) < begin + body_size:
        return None
    fields = dict(_Reader(data[:begin], order, 12).get("a(yv)"))
    reader = _Reader(data[begin : begin + body_size], order, 0)
    body = tuple([reader.get(one) for one in split(fields.get(SIGNATURE, ""))])
    return Message(kind=data[1], serial=serial, fields=fields, body=body), begin + body_size


def split(signature: str) -> list[str]:
    """The complete types one after another: "sa(sv)u" → s, a(sv), u."""
    found, at = [], 0
    while at < len(signature):
        end = _end(signature, at)
        found.append(signature[at:end])
        at = end
    return found


def _end(signature: str, at: int) -> int:
    first = signature[at : at + 1]
    if first == "a":
        return _end(signature, at + 1)
    if first not in ("(", "{"):
        if first == "" or (first not in _NUMBERS and first not in "sogv"):
            raise WireError(f"no D-Bus signature: {signature!r}")
        return at + 1
    depth = 0
    for index in range(at, len(signature)):
        depth += (signature[index] in "({") - (signature[index] in ")}")
        if not depth:
            return index + 1
    raise WireError(f"no D-Bus signature: {signature!r}")


def _alignment(signature: str) -> int:
    first = signature[0]
    if first in _NUMBERS:
        return struct.calcsize("=" + _NUMBERS[first])
    return {"s": 4, "o": 4, "a": 4, "(": 8, "{": 8}.get(first, 1)


class _Writer:
    def __init__(self) -> None:
        self.data = bytearray()

    def pad(self, size: int) -> None:
        self.data += bytes(-len(self.data) % size)

    def put(self, signature: str, value: Any) -> None:
        first = signature[0]
        self.pad(_alignment(signature))
        if first in _NUMBERS:
            try:
                self.data += struct.pack("<" + _NUMBERS[first], value)
            except struct.error as error:
                raise WireError(f"{value!r} does not fit the D-Bus type {first}") from error
        elif first in "so":
            text = value.encode()
            self.data += struct.pack("<I", len(text)) + text + b"\0"
        elif first == "g":
            self.data += bytes([len(value)]) + value.encode() + b"\0"
        elif first == "v":
            self.put("g", value[0])
            self.put(*value)
        elif first == "a":
            self._array(signature[1:], value)
        else:
            for one, item in zip(split(signature[1:-1]), value, strict=True):
                self.put(one, item)

    def _array(self, item: str, values: Any) -> None:
        place = len(self.data)
        self.data += bytes(4)
        self.pad(_alignment(item))
        begin = len(self.data)
        for value in values:
            self.put(item, value)
        struct.pack_into("<I", self.data, place, len(self.data) - begin)


class _Reader:
    def __init__(self, data: bytes, order: str, at: int) -> None:
        self._data, self._order, self._at = data, order, at

    def get(self, signature: str) -> Any:
        first = signature[0]
        self._skip(_alignment(signature))
        if first in _NUMBERS:
            value = self._number(_NUMBERS[first])
            return bool(value) if first == "b" else value
        if first in "sog":
            size = self._number("B" if first == "g" else "I")
            text = self._take(size + 1)[:-1]
            return text.decode(errors="replace")
        if first == "v":
            return self.get(self.get("g"))
        if first == "a":
            return self._array(signature[1:])
        return tuple([self.get(one) for one in split(signature[1:-1])])

    def _array(self, item: str) -> list[Any]:
        size = self._number("I")
        self._skip(_alignment(item))
        end, found = self._at + size, []
        if end > len(self._data):
            raise WireError("a D-Bus array is longer than its message")
        while self._at < end:
            found.append(self.get(item))
        return found

    def _number(self, form: str) -> Any:
        return struct.unpack(self._order + form, self._take(struct.calcsize("=" + form)))[0]

    def _skip(self, size: int) -> None:
        self._at += -self._at % size

    def _take(self, size: int) -> bytes:
        taken = self._data[self._at : self._at + size]
        if len(taken) < size:
            raise WireError("a D-Bus message ends too early")
        self._at += size
        return taken
