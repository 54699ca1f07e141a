"""Lines to a syslog receiver: RFC 3164, RFC 5424 (with or without microseconds), or, on a unix
socket, the form of the C library, which has no host name.

    <30>Nov 21 07:40:00 host 0123456789ab[4711]: text
    <30>1 2026-11-21T07:40:00Z host 0123456789ab 4711 0123456789ab - text

Standard output has the severity info, standard error the severity error (syslog(3)). On a stream a
message ends in a newline (RFC 6587, non-transparent framing).
"""

from __future__ import annotations

import os
import time

from sampan.shim.logs.lines import Lines
from sampan.shim.logs.outbox import Outbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.shim.loop import Loop
    from sampan.shim.protocol import Log

_SEVERITY = {1: 6, 2: 3}
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"


class Syslog:
    def __init__(self, log: Log, loop: Loop, on_room: Callable[[], None]) -> None:
        fields = log.fields
        self._tag, self._form = fields["tag"], fields["format"]
        self._priority = {s: int(fields["facility"]) * 8 + n for s, n in _SEVERITY.items()}
        self._host = os.uname().nodename
        self._lines = Lines()
        port = int(fields.get("port", 0))
        self._outbox = Outbox(
            loop, fields["kind"], (log.address, port) if port else log.address,
            limit=log.buffer, blocking=log.blocking, on_room=on_room,
        )  # fmt: skip

    @property
    def full(self) -> bool:
        return self._outbox.full

    def write(self, stream: int, chunk: bytes) -> None:
        for text, _partial in self._lines.feed(stream, chunk):
            self._send(stream, text)

    def close(self) -> None:
        for stream, text in self._lines.rest():
            self._send(stream, text)
        self._outbox.close()

    def _send(self, stream: int, text: bytes) -> None:
        head = f"<{self._priority[stream]}>{self._head()} ".encode()
        self._outbox.send(head + text + b"\n")

    def _head(self) -> str:
        pid, tag, now = os.getpid(), self._tag, time.time_ns()
        if self._form.startswith("rfc5424"):
            when = _rfc3339(now, micro=self._form == "rfc5424micro")
            return f"1 {when} {self._host} {tag} {pid} {tag} -"
        local = time.localtime(now // 1_000_000_000)
        if self._form == "unix":
            return f"{_stamp(local)} {tag}[{pid}]:"
        return f"{_stamp(local)} {self._host} {tag}[{pid}]:"


def _stamp(moment: time.struct_time) -> str:
    clock = f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}"
    return f"{_MONTHS[moment.tm_mon * 3 - 3 : moment.tm_mon * 3]} {moment.tm_mday:2} {clock}"


def _rfc3339(nanoseconds: int, *, micro: bool) -> str:
    seconds, fraction = divmod(nanoseconds, 1_000_000_000)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{text}.{fraction // 1000:06}Z" if micro else f"{text}Z"
