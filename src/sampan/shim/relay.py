"""Published ports' own sockets: a connection that the firewall did not translate on its way (from
::1, or on a host without nftables) arrives here and is carried to the container.

UDP sockets are only held, so that nobody else can have the port.
"""

from __future__ import annotations

import os
import socket
from functools import partial

from sampan.shim import loop as loops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.shim.protocol import Port

_CHUNK = 64 * 1024
_MOST = 256  # connections at once; further ones wait in the listener's backlog


class Relay:
    def __init__(self, loop: loops.Loop, ports: tuple[Port, ...]) -> None:
        self._loop = loop
        self._held: list[socket.socket] = []
        self._targets: dict[socket.socket, tuple[str, int]] = {}
        self._open = 0
        for port in ports:
            sock = socket.socket(fileno=port.fd)
            self._held.append(sock)
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                sock.setblocking(False)
                self._targets[sock] = (port.host, port.port)
        self._listen()

    def _listen(self) -> None:
        for sock, target in self._targets.items():
            self._loop.watch(
                sock.fileno(),
                loops.IN,
                partial(self._accept, sock, target),
            )

    def close(self) -> None:
        """The ports are free for others; connections under way end with the monitor."""
        for sock in self._held:
            self._loop.forget(sock.fileno())
            sock.close()
        self._held, self._targets = [], {}

    def _accept(self, listener: socket.socket, target: tuple[str, int], _events: int) -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        server = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        server.setblocking(False)
        try:
            server.connect(target)
        except BlockingIOError:
            pass
        except OSError:
            client.close()
            server.close()
            return
        self._open += 1
        if self._open >= _MOST:
            for held in self._targets:
                self._loop.forget(held.fileno())
        _Pair(self._loop, client, server, self._ended)

    def _ended(self) -> None:
        self._open -= 1
        if self._open == _MOST - 1:
            self._listen()


class _Pair:
    """Two sockets; each reads only while the other has nothing left to write."""

    def __init__(
        self,
        loop: loops.Loop,
        client: socket.socket,
        server: socket.socket,
        on_end: Callable[[], None],
    ) -> None:
        self._loop, self._on_end = loop, on_end
        self._socks = (client, server)
        self._waiting = {client: b"", server: b""}  # to be written to it
        self._reading = {client: True, server: True}
        self._connected = False
        client.setblocking(False)
        self._watch()

    def _watch(self) -> None:
        client, server = self._socks
        for sock, other in ((client, server), (server, client)):
            events = loops.OUT if self._waiting[sock] else 0
            if not self._connected:
                events = loops.OUT if sock is server else 0
            elif self._reading[sock] and not self._waiting[other]:
                events |= loops.IN
            if events:
                self._loop.watch(sock.fileno(), events, partial(self._ready, sock))
            else:  # HUP would be reported again and again
                self._loop.forget(sock.fileno())

    def _ready(self, sock: socket.socket, events: int) -> None:
        other = self._socks[sock is self._socks[0]]
        try:
            if not self._connected:
                self._check_connected()
            if self._waiting[sock] and events & loops.OUT:
                self._write(sock)
            if self._reading[sock] and not self._waiting[other] and events & loops.IN:
                self._read(sock, other)
            elif events & (loops.HUP | loops.ERR) and not events & loops.IN:
                raise ConnectionResetError
        except BlockingIOError:
            pass
        except OSError:
            self._close()
            return
        if not any(self._reading.values()) and not any(self._waiting.values()):
            self._close()
        else:
            self._watch()

    def _check_connected(self) -> None:
        error = self._socks[1].getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        self._connected = True

    def _read(self, sock: socket.socket, other: socket.socket) -> None:
        data = sock.recv(_CHUNK)
        if data:
            self._waiting[other] = data
            self._write(other)
        else:
            self._reading[sock] = False
            other.shutdown(socket.SHUT_WR)

    def _write(self, sock: socket.socket) -> None:
        self._waiting[sock] = self._waiting[sock][sock.send(self._waiting[sock]) :]

    def _close(self) -> None:
        for sock in self._socks:
            self._loop.forget(sock.fileno())
            sock.close()
        self._on_end()
