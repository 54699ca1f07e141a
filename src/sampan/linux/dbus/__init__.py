"""A blocking D-Bus client, as small as talking to systemd needs.

    with dbus.connect("/run/systemd/private") as systemd:
        (job,) = systemd.call(PEER, "StopUnit", "ss", "web.scope", "replace")
        systemd.wait_signal("JobRemoved", lambda body: body[1] == job)

A private socket (systemd's own) has one peer and no bus; with `bus=True` it is a message bus, to
which we say Hello first.
"""

from __future__ import annotations

import os
import socket
import time

from sampan.kit import errors
from sampan.kit.record import Record
from sampan.linux.dbus import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_PATIENCE = 30.0  # seconds for an answer


class Peer(Record):
    """An object of a service, seen through one of its interfaces."""

    destination: str
    path: str
    interface: str


_BUS = Peer(
    destination="org.freedesktop.DBus",
    path="/org/freedesktop/DBus",
    interface="org.freedesktop.DBus",
)


class DBusError(errors.Conflict):
    """The other side answered with an error; `name` is its D-Bus name."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message or name)
        self.name = name


class NoAnswer(errors.Unavailable):
    """The other side closed the connection or kept silent."""


def connect(path: str, *, bus: bool = False) -> Connection:
    """Raises OSError where nobody listens."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        made.settimeout(_PATIENCE)
        made.connect(path)
        return Connection(made, bus=bus)
    except BaseException:
        made.close()
        raise


class Connection:
    def __init__(self, stream: socket.socket, *, bus: bool) -> None:
        self._stream, self._bus = stream, bus
        self._data, self._serial = b"", 0
        self._signals: list[wire.Message] = []
        self._authenticate()
        if bus:
            self.call(_BUS, "Hello")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def listen(self, rule: str) -> None:
        """On a bus: ask for signals, by match rule. A private peer sends all of them anyway."""
        if self._bus:
            self.call(_BUS, "AddMatch", "s", rule)

    def call(self, peer: Peer, member: str, signature: str = "", *body: Any) -> tuple[Any, ...]:
        """Raises DBusError, NoAnswer."""
        self._serial += 1
        fields = {
            wire.PATH: peer.path,
            wire.INTERFACE: peer.interface,
            wire.MEMBER: member,
            wire.DESTINATION: peer.destination,
        }
        self._stream.sendall(wire.pack(wire.CALL, self._serial, fields, signature, body))
        while True:
            answer = self._receive(time.monotonic() + _PATIENCE)
            if answer.fields.get(wire.REPLY_SERIAL) != self._serial:
                continue
            if answer.kind == wire.ERROR:
                text = answer.body[0] if answer.body and isinstance(answer.body[0], str) else ""
                raise DBusError(answer.fields.get(wire.ERROR_NAME, ""), text)
            return answer.body

    def wait_signal(
        self, member: str, wanted: Callable[[tuple[Any, ...]], bool], seconds: float = _PATIENCE
    ) -> tuple[Any, ...]:
        """The body of the first such signal, also of one that came while a call was under way."""
        deadline = time.monotonic() + seconds
        while True:
            for signal in self._signals:
                if signal.fields.get(wire.MEMBER) == member and wanted(signal.body):
                    self._signals.clear()
                    return signal.body
            self._signals.clear()
            self._receive(deadline)

    def _receive(self, deadline: float) -> wire.Message:
        while (found := wire.unpack(self._data)) is None:
            self._read(deadline)
        message, size = found
        self._data = self._data[size:]
        if message.kind == wire.SIGNAL:
            self._signals.append(message)
        return message

    def _authenticate(self) -> None:
        """SASL's EXTERNAL: the socket says who we are.

        BEGIN goes along at once. After the answer, it could reach sd-bus in one read with our first
        message, which then lies there until more comes.
        """
        uid = str(os.geteuid()).encode().hex()
        self._stream.sendall(f"\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n".encode())
        while b"\r\n" not in self._data:
            self._read(time.monotonic() + _PATIENCE)
        line, _, self._data = self._data.partition(b"\r\n")
        if not line.startswith(b"OK "):
            raise NoAnswer(f"D-Bus refused us: {line[:100].decode(errors='replace')}")

    def _read(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        self._stream.settimeout(max(left, 0.001))
        try:
            data = self._stream.recv(65536)
        except TimeoutError:
            raise NoAnswer("no answer on D-Bus in time") from None
        if not data:
            raise NoAnswer("the D-Bus connection was closed")
        self._data += data
