"""The two sockets at 127.0.0.11 of one container, and the clients behind them.

Answers about our own names are kept as bytes, so that the next equal question costs a dictionary's
look-up; whoever changes a zone or the view says so (`changed`).
"""

from __future__ import annotations

import socket

from sampan.network import dns_message, dns_zone
from sampan.shim import admit
from sampan.shim.loop import HUP, IN, OUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sampan.network.dns_message import Query
    from sampan.network.dns_zone import Zone
    from sampan.shim.forward import Forwarder
    from sampan.shim.loop import Loop

_BURST = 64  # questions of one container before the next one's turn
_CLIENTS = 64  # by TCP, of one container
_MOST = 256  # ready answers
_IDLE = 10.0  # seconds that a client by TCP may be silent
_STREAM_LIMIT = 65535


class NameServer:
    """Owns its descriptors. `close` when done."""

    def __init__(
        self, loop: Loop, forwarder: Forwarder, zones: Mapping[str, Zone], udp: int, tcp: int
    ) -> None:
        self._loop, self._forwarder, self._zones = loop, forwarder, zones
        self._udp, self._tcp = socket.socket(fileno=udp), socket.socket(fileno=tcp)
        self.view = dns_zone.View(networks=())
        self._ready: dict[bytes, list[bytes]] = {}
        self._turn = 0
        self._clients: set[_Client] = set()
        for sock, callback in ((self._udp, self._on_datagrams), (self._tcp, self._on_client)):
            sock.setblocking(False)
            loop.watch(sock.fileno(), IN, callback)

    def changed(self) -> None:
        self._ready.clear()

    def close(self) -> None:
        for sock in (self._udp, self._tcp):
            self._loop.forget(sock.fileno())
            sock.close()
        for client in list(self._clients):
            client.close()

    def _on_datagrams(self, _events: int) -> None:
        receive, send = self._udp.recvfrom, self._udp.sendto
        for _ in range(_BURST):
            try:
                data, peer = receive(4096)
            except OSError:  # no more, or ICMP's word about a client that has gone
                return
            ready = self._ready.get(data[2:])
            if ready:
                self._turn += 1
                reply = data[:2] + ready[self._turn % len(ready)]
            else:
                found = self._new(data, peer)
                if found is None:
                    continue
                reply = found
            try:
                send(reply, peer)
            except OSError:
                pass

    def _new(self, data: bytes, peer: tuple[str, int]) -> bytes | None:
        query = dns_message.parse(data)
        if query is None:
            return None
        if self.view.admitted or self.view.closed:
            self._by_policy(query, data, peer)
            return None
        replies = self._turns(query)
        if replies:
            if len(self._ready) >= _MOST:
                self._ready.clear()
            self._ready[data[2:]] = [reply[2:] for reply in replies]
            return replies[0]
        self._forwarder.ask(
            query,
            data,
            self.view.upstreams,
            stream=False,
            done=lambda reply: self._answer(reply, peer),
        )
        return None

    def _by_policy(self, query: Query, data: bytes, peer: tuple[str, int]) -> None:
        self._turn += 1
        own = dns_zone.answer(query, self.view, self._zones, limit=query.limit, turn=self._turn)
        done = self._policed(query, lambda reply: self._answer(reply, peer))
        if own is not None:
            done(own)
        elif self._refused(query):
            done(dns_message.failure(query, dns_message.NXDOMAIN))
        else:
            self._forwarder.ask(query, data, self.view.upstreams, stream=False, done=done)

    def _refused(self, query: Query) -> bool:
        return self.view.closed and not self.view.sets(query.name)

    def _policed(self, query: Query, done: Callable[[bytes], None]) -> Callable[[bytes], None]:
        """Let the container reach what an answer tells it, before it has the answer."""
        sets = self.view.sets(query.name)
        if not sets:
            return done

        def admit_first(reply: bytes) -> None:
            admit.addresses(self._udp, sets, dns_message.addresses(reply))
            done(reply)

        return admit_first

    def _turns(self, query: Query) -> list[bytes]:
        """Every rotation of our own answer; none to what is not ours."""
        found: list[bytes] = []
        while True:
            reply = dns_zone.answer(
                query, self.view, self._zones, limit=query.limit, turn=len(found)
            )
            if reply is None or reply in found or len(found) == 16:
                return found
            found.append(reply)

    def _answer(self, reply: bytes, peer: tuple[str, int]) -> None:
        try:
            self._udp.sendto(reply, peer)
        except OSError:
            pass  # it is closed by now, or the client's queue is full

    def _on_client(self, _events: int) -> None:
        try:
            sock, _ = self._tcp.accept()
        except OSError:
            return
        if len(self._clients) >= _CLIENTS:
            sock.close()
            return
        _Client(self, self._loop, sock, self._clients)

    def ask_stream(self, data: bytes, client: _Client) -> bool:
        """False for what is no question."""
        query = dns_message.parse(data)
        if query is None:
            return False
        self._turn += 1
        own = dns_zone.answer(query, self.view, self._zones, limit=_STREAM_LIMIT, turn=self._turn)
        done = self._policed(query, client.send)
        if own is not None:
            done(own)
        elif self._refused(query):
            done(dns_message.failure(query, dns_message.NXDOMAIN))
        else:
            self._forwarder.ask(query, data, self.view.upstreams, stream=True, done=done)
        return True


class _Client:
    """One TCP connection (RFC 7766: any number of questions, answered in any order)."""

    def __init__(
        self, server: NameServer, loop: Loop, sock: socket.socket, clients: set[_Client]
    ) -> None:
        self._server, self._loop, self._socket, self._clients = server, loop, sock, clients
        self._in, self._out = bytearray(), bytearray()
        self._heard = True
        clients.add(self)
        sock.setblocking(False)
        loop.watch(sock.fileno(), IN, self._on_event)
        loop.call_later(_IDLE, self._grow_old)

    def _grow_old(self) -> None:
        if self in self._clients:
            if not self._heard:
                self.close()
            else:
                self._heard = False
                self._loop.call_later(_IDLE, self._grow_old)

    def close(self) -> None:
        if self in self._clients:
            self._clients.discard(self)
            self._loop.forget(self._socket.fileno())
            self._socket.close()

    def _on_event(self, events: int) -> None:
        if events & OUT:
            self._flush()
        if events & (IN | HUP) and self in self._clients:
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._heard = True
        self._in += data
        while len(self._in) >= 2 and self in self._clients:
            size = int.from_bytes(self._in[:2], "big") + 2
            if len(self._in) < size:
                return
            question = bytes(self._in[2:size])
            del self._in[:size]
            if not self._server.ask_stream(question, self):
                self.close()

    def send(self, reply: bytes) -> None:
        if self in self._clients:
            self._out += len(reply).to_bytes(2, "big") + reply
            self._flush()

    def _flush(self) -> None:
        try:
            del self._out[: self._socket.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        # One that does not read its answers is not read either.
        self._loop.watch(self._socket.fileno(), OUT if self._out else IN, self._on_event)
