"""Protocol buffers, as far as BuildKit's services need them.

    POINT = Shape("Point", x=(1, INT), labels=(2, Map(STRING)), parts=(3, Repeated(PART)))
    data = POINT.encode({"x": -1, "labels": {"a": "b"}})
    POINT.decode(data)      -> {"x": -1, "labels": {"a": "b"}, "parts": []}

A message is a dictionary. What the wire leaves out has its default after `decode` (an absent
message is None), and what has its default is left out by `encode`. Fields that a shape does not
name are skipped. Source: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Put = Callable[[bytearray, int, Any], None]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MASK = (1 << 64) - 1


class Malformed(errors.InvalidArgument):
    def __init__(self, shape: str, why: str) -> None:
        super().__init__(f"malformed {shape} message: {why}")


class Kind:
    """What a field holds: `wire` is its wire type."""

    wire = _LENGTH
    default: Any = None

    @property
    def element(self) -> Kind:
        """What one occurrence of the field holds."""
        return self

    def put(self, out: bytearray, value: Any) -> None:
        """Append the value without its tag."""
        raise NotImplementedError

    def take(self, raw: Any) -> Any:
        """The value of a varint (int) or of a length-delimited field (bytes)."""
        raise NotImplementedError


class _Unsigned(Kind):
    wire, default = _VARINT, 0

    def put(self, out: bytearray, value: int) -> None:
        put_varint(out, value & _MASK)

    def take(self, raw: int) -> int:
        return raw


class _Signed(_Unsigned):
    """int32 and int64: two's complement in 64 bits."""

    def take(self, raw: int) -> int:
        return raw - (1 << 64) if raw >> 63 else raw


class _Bool(_Unsigned):
    default = False

    def take(self, raw: int) -> bool:
        return raw != 0


class _Bytes(Kind):
    default = b""

    def put(self, out: bytearray, value: bytes) -> None:
        put_varint(out, len(value))
        out += value

    def take(self, raw: bytes) -> bytes:
        return raw


class _String(Kind):
    """Names of files may be no UTF-8: they come and go as Python's file names do."""

    default = ""

    def put(self, out: bytearray, value: str) -> None:
        BYTES.put(out, value.encode("utf-8", "surrogateescape"))

    def take(self, raw: bytes) -> str:
        return raw.decode("utf-8", "surrogateescape")


UINT, INT, BOOL, BYTES, STRING = _Unsigned(), _Signed(), _Bool(), _Bytes(), _String()


class Repeated(Kind):
    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.packed = kind.wire == _VARINT

    @property
    def element(self) -> Kind:
        return self.kind


class Map(Kind):
    """Keys are strings unless said otherwise."""

    def __init__(self, kind: Kind, key: Kind = STRING) -> None:
        self.entry = Shape("map entry", key=(1, key), value=(2, kind))
        self.kind = kind

    @property
    def element(self) -> Kind:
        return self.entry

    def joined(self, entries: list[dict[str, Any]]) -> dict[Any, Any]:
        if isinstance(self.kind, Shape):
            blank = self.kind.blank
            return {
                one["key"]: blank() if one["value"] is None else one["value"] for one in entries
            }
        return {one["key"]: one["value"] for one in entries}


class Shape(Kind):
    """A message: its fields by name, each with its number and kind."""

    def __init__(self, title: str, /, **fields: tuple[int, Kind]) -> None:
        self.title = title
        self._by_name = {name: (number, kind) for name, (number, kind) in fields.items()}
        self._by_number = {number: (name, kind) for name, (number, kind) in fields.items()}
        self._blank = {name: kind.default for name, (_, kind) in fields.items()}
        self._lists = [n for n, (_, k) in fields.items() if isinstance(k, Repeated | Map)]
        self._maps = [(n, k) for n, (_, k) in fields.items() if isinstance(k, Map)]
        # What a tag means: the field, what reads its value, and whether there may be several.
        self._by_tag = {
            number << 3 | kind.element.wire: (name, kind.element.take, name in self._lists)
            for name, (number, kind) in fields.items()
        }

    def encode(self, message: Mapping[str, Any]) -> bytes:
        out = bytearray()
        for name, value in message.items():
            try:
                number, kind = self._by_name[name]
            except KeyError:
                raise TypeError(f"{self.title} has no field {name}") from None
            _put_field(out, number, kind, value)
        return bytes(out)

    def decode(self, data: bytes) -> dict[str, Any]:
        """Raises Malformed."""
        message = self.blank()
        at, end = 0, len(data)
        while at < end:
            tag = data[at]
            if tag < 0x80:
                at += 1
            else:
                tag, at = self._varint(data, at)
            wire = tag & 7
            raw: int | bytes
            if wire == _VARINT:
                raw, at = self._varint(data, at)
            else:
                raw, at = self._bytes(wire, data, at, end)
            found = self._by_tag.get(tag)
            if found is None:
                self._take_oddly(message, tag, raw)
            elif found[2]:
                message[found[0]].append(found[1](raw))
            else:
                message[found[0]] = found[1](raw)
        for name, kind in self._maps:
            message[name] = kind.joined(message[name])
        return message

    def _bytes(self, wire: int, data: bytes, at: int, end: int) -> tuple[bytes, int]:
        if wire == _LENGTH:
            length, at = self._varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise Malformed(self.title, f"wire type {wire}")
        if at + length > end:
            raise Malformed(self.title, "it ends in the middle of a field")
        return data[at : at + length], at + length

    def blank(self) -> dict[str, Any]:
        """A message with nothing in it."""
        message: dict[str, Any] = dict(self._blank)
        for name in self._lists:
            message[name] = []
        return message

    def _take_oddly(self, message: dict[str, Any], tag: int, raw: Any) -> None:
        """A field that is unknown, packed, or not what it should be."""
        name, kind = self._by_number.get(tag >> 3, ("", None))
        if kind is None:
            return
        if isinstance(kind, Repeated) and kind.packed and tag & 7 == _LENGTH:
            message[name] += [kind.kind.take(number) for number in self._packed(raw)]
            return
        raise Malformed(self.title, f"{name} has wire type {tag & 7}")

    def _packed(self, data: bytes) -> list[int]:
        found, at = [], 0
        while at < len(data):
            value, at = self._varint(data, at)
            found.append(value)
        return found

    def _varint(self, data: bytes, at: int) -> tuple[int, int]:
        try:
            byte = data[at]
            if byte < 0x80:
                return byte, at + 1
            value, shift = byte & 0x7F, 7
            while shift < 70:
                at += 1
                byte = data[at]
                value |= (byte & 0x7F) << shift
                if byte < 0x80:
                    return value & _MASK, at + 1
                shift += 7
        except IndexError:
            raise Malformed(self.title, "it ends in the middle of a number") from None
        raise Malformed(self.title, "a number of more than 64 bits")

    def put(self, out: bytearray, value: Mapping[str, Any]) -> None:
        BYTES.put(out, self.encode(value))

    def take(self, raw: bytes) -> dict[str, Any]:
        return self.decode(raw)


def put_varint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _put_field(out: bytearray, number: int, kind: Kind, value: Any) -> None:
    if isinstance(kind, Repeated):
        if kind.packed and value:
            body = bytearray()
            for item in value:
                kind.kind.put(body, item)
            put_varint(out, number << 3 | _LENGTH)
            BYTES.put(out, bytes(body))
            return
        for item in value:
            put_varint(out, number << 3 | kind.kind.wire)
            kind.kind.put(out, item)
    elif isinstance(kind, Map):
        for key, item in value.items():
            put_varint(out, number << 3 | _LENGTH)
            kind.entry.put(out, {"key": key, "value": item})
    elif value != kind.default:
        put_varint(out, number << 3 | kind.wire)
        kind.put(out, value)
