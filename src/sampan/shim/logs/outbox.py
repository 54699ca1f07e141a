"""Messages on their way to a receiver that may be slow, or gone for a while.

Sending never waits: what the socket does not take lies in a buffer of bounded size. When that is
full, a "blocking" outbox says so (`full`), and the container's output is not read until there is
room; one that is not blocking drops the oldest messages. A connection that broke is made anew, at
most once a second; what comes meanwhile is lost, as with Docker's drivers.
"""

from __future__ import annotations

import errno
import socket
import time

from sampan.shim import loop as loops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Address = tuple[str, int] | str

_CONNECT_TIMEOUT = 5.0  # seconds, for the first connection, which a start waits for
_AGAIN = 1.0  # seconds between attempts afterwards
_LAST = 2.0  # seconds that `close` gives the rest


class Outbox:
    """`kind`: udp, tcp, unix or unixgram; the address is numeric, or a path."""

    def __init__(
        self,
        loop: loops.Loop,
        kind: str,
        address: Address,
        *,
        limit: int,
        blocking: bool,
        on_room: Callable[[], None],
    ) -> None:
        self._loop, self._kind, self._address = loop, kind, address
        self._limit, self._blocking, self._on_room = limit, blocking, on_room
        self._waiting: list[bytes] = []
        self._size = 0
        self._tried = 0.0
        self._sock: socket.socket | None = self._connect(_CONNECT_TIMEOUT)

    @property
    def full(self) -> bool:
        return self._blocking and self._size >= self._limit

    def send(self, message: bytes) -> None:
        if self._sock is None and not self._again():
            return
        self._waiting.append(message)
        self._size += len(message)
        if len(self._waiting) == 1:
            self._flush()
        while not self._blocking and self._size > self._limit and len(self._waiting) > 2:
            self._size -= len(self._waiting.pop(1))  # the first may be half sent

    def close(self) -> None:
        """The rest is given a moment, then the connection ends."""
        if self._sock is None:
            return
        self._loop.forget(self._sock.fileno())
        self._sock.settimeout(_LAST)
        try:
            for message in self._waiting:
                self._sock.sendall(message)
        except OSError:
            pass
        self._sock.close()
        self._sock = None

    def _connect(self, timeout: float) -> socket.socket:
        family = socket.AF_UNIX
        if isinstance(self._address, tuple):
            family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        datagrams = self._kind in ("udp", "unixgram")
        sock = socket.socket(family, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            sock.connect(self._address)
            sock.setblocking(False)
        except OSError:
            sock.close()
            raise
        return sock

    def _again(self) -> bool:
        now = time.monotonic()
        if now - self._tried < _AGAIN:
            return False
        self._tried = now
        try:
            self._sock = self._connect(0.2)
        except OSError:
            return False
        return True

    def _flush(self, _events: int = 0) -> None:
        assert self._sock is not None
        was_full = self.full
        try:
            while self._waiting:
                self._sent(self._sock.send(self._waiting[0]))
        except BlockingIOError:
            self._loop.watch(self._sock.fileno(), loops.OUT, self._flush)
        except OSError as failure:
            if failure.errno == errno.EMSGSIZE:  # too long for a datagram: this one is lost
                self._sent(len(self._waiting[0]))
                return
            self._broken()
        else:
            self._loop.forget(self._sock.fileno())
        if was_full and not self.full:
            self._on_room()

    def _sent(self, count: int) -> None:
        rest = self._waiting[0][count:]
        self._size -= count
        if rest:
            self._waiting[0] = rest
        else:
            del self._waiting[0]

    def _broken(self) -> None:
        assert self._sock is not None
        self._loop.forget(self._sock.fileno())
        self._sock.close()
        self._sock = None
        self._waiting.clear()
        self._size = 0
