"""Lines to systemd's journal, in its native form (systemd.journal-fields(7)).

    https://systemd.io/JOURNAL_NATIVE_PROTOCOL/

One datagram a line: FIELD=value, or, for a value with a newline, the field's name, its length as a
little-endian 64-bit number and the bytes. A line has at most 16 KiB, which any datagram holds.
"""

from __future__ import annotations

import struct

from sampan.shim.logs.lines import Lines
from sampan.shim.logs.outbox import Outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.shim.loop import Loop
    from sampan.shim.protocol import Log

SOCKET = "/run/systemd/journal/socket"
_PRIORITY = {1: b"PRIORITY=6\n", 2: b"PRIORITY=3\n"}  # info and error, syslog(3)


class Journald:
    """`log.fields` go with each line."""

    def __init__(self, log: Log, loop: Loop, on_room: Callable[[], None]) -> None:
        self._fields = b"".join([field(name, value) for name, value in log.fields.items()])
        self._lines = Lines()
        self._outbox = Outbox(
            loop, "unixgram", log.address or SOCKET,
            limit=log.buffer, blocking=log.blocking, on_room=on_room,
        )  # fmt: skip

    @property
    def full(self) -> bool:
        return self._outbox.full

    def write(self, stream: int, chunk: bytes) -> None:
        for text, partial in self._lines.feed(stream, chunk):
            self._send(stream, text, partial=partial)

    def close(self) -> None:
        for stream, text in self._lines.rest():
            self._send(stream, text)
        self._outbox.close()

    def _send(self, stream: int, text: bytes, *, partial: bool = False) -> None:
        more = b"CONTAINER_PARTIAL_MESSAGE=true\n" if partial else b""
        message = _bytes(b"MESSAGE", text)
        self._outbox.send(_PRIORITY[stream] + self._fields + more + message)


def field(name: str, value: str) -> bytes:
    return _bytes(name.encode(), value.encode("utf-8", "replace"))


def _bytes(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
    return name + b"=" + value + b"\n"
