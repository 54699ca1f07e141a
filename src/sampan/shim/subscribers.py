"""Events to whoever subscribed: the engine that started the container, and those after it.

A subscriber that does not read is dropped when a megabyte waits for it; it may come back. Exit
codes of execs are told again to each new one (the latest `_REMEMBERED` of them), because the
engine that got them first may have died with them.
"""

from __future__ import annotations

import os
from collections import deque
from functools import partial

from sampan.linux import unix
from sampan.shim import loop as loops

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from sampan.shim.protocol import Message

_REMEMBERED = 256
_MOST_WAITING = 1 << 20


class Subscribers:
    def __init__(self, loop: loops.Loop) -> None:
        self._loop = loop
        self._all: dict[socket.socket, bytes] = {}  # what is still to be sent
        self._remembered: deque[Message] = deque(maxlen=_REMEMBERED)

    @property
    def flushed(self) -> bool:
        return not any(self._all.values())

    def add(self, sock: socket.socket, *first: Message) -> None:
        """Owns the socket from now on; `first` is sent, then what is remembered, then events."""
        sock.setblocking(False)
        self._all[sock] = b""
        self._watch(sock)
        for message in (*first, *self._remembered):
            self._send(sock, unix.encode(message))

    def announce(self, message: Message, *, remember: bool = False) -> None:
        if remember:
            self._remembered.append(message)
        data = unix.encode(message)
        for sock in list(self._all):
            self._send(sock, data)

    def close(self) -> None:
        for sock in list(self._all):
            self._drop(sock)

    def _send(self, sock: socket.socket, data: bytes) -> None:
        if sock not in self._all:
            return
        waiting = self._all[sock] + data
        try:
            sent = os.write(sock.fileno(), waiting)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(sock)
            return
        self._all[sock] = waiting[sent:]
        if len(waiting) - sent > _MOST_WAITING:
            self._drop(sock)
        else:
            self._watch(sock)

    def _watch(self, sock: socket.socket) -> None:
        events = loops.IN | (loops.OUT if self._all[sock] else 0)
        self._loop.watch(sock.fileno(), events, partial(self._ready, sock))

    def _ready(self, sock: socket.socket, events: int) -> None:
        if events & loops.OUT:
            self._send(sock, b"")
        elif sock in self._all and not self._still_there(sock):
            self._drop(sock)

    def _still_there(self, sock: socket.socket) -> bool:
        """A subscription is one way; what comes the other way can only be its end."""
        try:
            return bool(sock.recv(4096))
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _drop(self, sock: socket.socket) -> None:
        del self._all[sock]
        self._loop.forget(sock.fileno())
        sock.close()
