"""Questions about the rest of the world: asked of the upstreams from the host's namespace.

One upstream after another, twice around; the next one on silence, SERVFAIL and REFUSED. One that
was silent is asked last for a while. A question by UDP is asked by UDP, one by TCP by TCP. Each
has a socket, and so a port, and an id of its own: what a forger would have to guess (RFC 5452).

    forwarder.ask(query, data, upstreams, stream=False, done=callback)    callback(reply)
"""

from __future__ import annotations

import os
import socket
from collections import deque
from time import monotonic

from sampan.network import dns_cache, dns_message
from sampan.shim.loop import IN, OUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sampan.network.dns_message import Query
    from sampan.shim.loop import Loop

TIMEOUT = 1.5  # seconds an upstream has
_AT_ONCE = 256
_SLOW = 30.0  # seconds


class Forwarder:
    """`port` and `timeout` are the tests' to change."""

    def __init__(self, loop: Loop, *, port: int = 53, timeout: float = TIMEOUT) -> None:
        self.loop, self.port, self.timeout = loop, port, timeout
        self.cache = dns_cache.Cache()
        self.slow: dict[str, float] = {}  # upstream → until when it is asked last
        self.asking: set[_Question] = set()
        self._deadlines: deque[tuple[float, _Question, int]] = deque()
        self._armed = False

    def ask(
        self,
        query: Query,
        data: bytes,
        upstreams: Sequence[str],
        *,
        stream: bool,
        done: Callable[[bytes], None],
    ) -> None:
        key = (upstreams, data[2:])
        kept = self.cache.get(key, monotonic())
        if kept is not None and (stream or len(kept) <= query.limit):
            done(dns_message.with_id(kept, query.id))
        elif not upstreams or len(self.asking) >= _AT_ONCE:
            done(dns_message.failure(query, dns_message.SERVFAIL))
        else:
            _Question(self, query, data, key, stream=stream, done=done).next()

    def order(self, upstreams: Sequence[str]) -> Iterator[str]:
        now = monotonic()
        ranked = sorted(upstreams, key=lambda one: self.slow.get(one, 0.0) > now)
        return iter((*ranked, *ranked))

    def limit(self, question: _Question) -> None:
        """Every wait is equally long, so the first of the queue is always the next to end."""
        self._deadlines.append((monotonic() + self.timeout, question, question.attempt))
        if not self._armed:
            self._armed = True
            self.loop.call_later(self.timeout, self._sweep)

    def _sweep(self) -> None:
        self._armed = False
        now = monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, question, attempt = self._deadlines.popleft()
            if question in self.asking and question.attempt == attempt:
                self.slow[question.upstream] = now + _SLOW
                question.next()
        if self._deadlines and not self._armed:
            self._armed = True
            self.loop.call_later(self._deadlines[0][0] - now, self._sweep)


class _Question:
    """One on its way; `attempt` counts whom it was asked of."""

    def __init__(
        self,
        forwarder: Forwarder,
        query: Query,
        data: bytes,
        key: tuple[Sequence[str], bytes],
        *,
        stream: bool,
        done: Callable[[bytes], None],
    ) -> None:
        self._forwarder, self._query, self._data, self._key = forwarder, query, data, key
        self._stream, self._done = stream, done
        self._last = dns_message.failure(query, dns_message.SERVFAIL)
        self._left = forwarder.order(key[0])
        self._socket: socket.socket | None = None
        self._received = bytearray()
        self._message = b""
        self.attempt = 0
        self.upstream = ""
        forwarder.asking.add(self)

    def next(self) -> None:
        """Ask the next upstream that can be asked; the last answer, or SERVFAIL, after them."""
        self._hang_up()
        for upstream in self._left:
            self.attempt += 1
            self.upstream = upstream
            self._message = os.urandom(2) + self._data[2:]
            self._received.clear()
            try:
                self._send(upstream)
            except OSError:
                self._hang_up()
                continue
            self._forwarder.limit(self)
            return
        self._finish(self._last)

    def _send(self, upstream: str) -> None:
        family = socket.AF_INET6 if ":" in upstream else socket.AF_INET
        kind = socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM
        self._socket = socket.socket(family, kind | socket.SOCK_NONBLOCK)
        try:
            self._socket.connect((upstream, self._forwarder.port))
        except BlockingIOError:
            pass
        if self._stream:
            self._forwarder.loop.watch(self._socket.fileno(), OUT, self._on_connected)
        else:
            self._socket.send(self._message)
            self._forwarder.loop.watch(self._socket.fileno(), IN, self._on_datagram)

    def _on_datagram(self, _events: int) -> None:
        assert self._socket is not None
        try:
            reply = self._socket.recv(65535)
        except BlockingIOError:
            return
        except OSError:  # nobody listens there
            self.next()
            return
        self._heard(reply)

    def _on_connected(self, _events: int) -> None:
        assert self._socket is not None
        try:
            self._socket.send(len(self._message).to_bytes(2, "big") + self._message)
        except OSError:
            self.next()
            return
        self._forwarder.loop.watch(self._socket.fileno(), IN, self._on_stream)

    def _on_stream(self, _events: int) -> None:
        assert self._socket is not None
        try:
            part = self._socket.recv(65537)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        self._received += part
        size = int.from_bytes(self._received[:2], "big") + 2
        if not part:
            self.next()
        elif len(self._received) >= max(size, 3):
            self._heard(bytes(self._received[2:size]))

    def _heard(self, reply: bytes) -> None:
        number = int.from_bytes(self._message[:2], "big")
        if not dns_message.answers(reply, number, self._query.question):
            if self._stream:
                self.next()
            return  # somebody else's datagram: the right one may still come
        self._last = dns_message.with_id(reply, self._query.id)
        if dns_message.code(reply) in (dns_message.SERVFAIL, dns_message.REFUSED):
            self.next()
            return
        self._forwarder.slow.pop(self.upstream, None)
        self._forwarder.cache.put(self._key, reply, monotonic())
        self._finish(self._last)

    def _finish(self, reply: bytes) -> None:
        self._hang_up()
        self._forwarder.asking.discard(self)
        self._done(reply)

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._forwarder.loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
