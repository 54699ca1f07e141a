"""One attached client: a connected socket that outputs go to and stdin may come from.

The monitor got the socket from the engine (past the `101` of the Docker API), so an attached
session lives on when the engine does not. What a client has not taken yet waits in memory; beyond
`FULL` bytes the session stops reading the container, so nothing is lost and nothing grows.
"""

from __future__ import annotations

import socket
from collections import deque

from sampan.shim import loop as loops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.shim.protocol import Attach

FULL = 128 * 1024
_CHUNK = 32 * 1024


class DetachKeys:
    """Finds a key sequence in what a terminal sends, wherever the reads happen to be cut."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """What to pass on, and whether the sequence is complete (the rest is then dropped).

        The beginning of a sequence is held back until the next key shows what it was.
        """
        if not self._keys:
            return data, False
        data = self._held + data
        found = data.find(self._keys)
        if found >= 0:
            self._held = b""
            return data[:found], True
        held = next(
            (n for n in range(len(self._keys) - 1, 0, -1) if data.endswith(self._keys[:n])), 0
        )
        self._held = data[len(data) - held :]
        return data[: len(data) - held], False


class Client:
    """`on_input(client, data)` gets stdin, b"" at its end; `on_change(client)` says that it went
    away, or that a full one has room again."""

    def __init__(
        self,
        loop: loops.Loop,
        wants: Attach,
        *,
        on_input: Callable[[Client, bytes], None],
        on_change: Callable[[Client], None],
    ) -> None:
        self._loop = loop
        self._sock = socket.socket(fileno=wants.fd)
        self._sock.setblocking(False)
        self._on_input, self._on_change = on_input, on_change
        self._streams = {1: wants.stdout, 2: wants.stderr}
        self._multiplexed = wants.multiplexed
        self._pending: deque[memoryview] = deque()
        self._waiting = 0  # bytes in _pending
        self._reading = wants.stdin
        self._paused = False
        self._deaf = False  # the peer closed: output is pointless, its input may still wait
        self._finishing = False
        self.closed = False
        self.wants_stdin = wants.stdin
        self._rewatch()

    @property
    def full(self) -> bool:
        return self._waiting > FULL

    def send(self, stream: int, data: bytes) -> None:
        """Output of the container; raw clients get both streams mixed, as a terminal does."""
        if self.closed or self._deaf or not self._streams[stream]:
            return
        if self._multiplexed:
            data = bytes((stream, 0, 0, 0)) + len(data).to_bytes(4, "big") + data
        sent = 0
        if not self._pending:
            sent = self._write(data)
        if sent < len(data) and not self._deaf:
            self._pending.append(memoryview(data)[sent:])
            self._waiting += len(data) - sent
            self._rewatch()

    def pause(self, paused: bool) -> None:
        """Stop reading its stdin, or go on."""
        if paused != self._paused and not self.closed:
            self._paused = paused
            self._rewatch()

    def finish(self) -> None:
        """Close it as soon as it has taken everything."""
        self._finishing, self._reading = True, False
        if self._pending and not self._deaf:
            self._rewatch()
        else:
            self.close()

    def close(self) -> None:
        """Tell the peer that this was all, whoever else still holds the socket."""
        if self.closed:
            return
        self.closed, self._waiting = True, 0
        self._pending.clear()
        self._loop.forget(self._sock.fileno())
        try:
            self._sock.shutdown(socket.SHUT_WR)
            while self._sock.recv(_CHUNK):
                pass  # unread input would turn our close into a reset
        except OSError:
            pass
        self._sock.close()
        self._on_change(self)

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return self._sock.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return 0
        except OSError:
            self._lose()
            return 0

    def _lose(self) -> None:
        """The peer does not listen any more."""
        self._deaf, self._waiting = True, 0
        self._pending.clear()

    def _rewatch(self) -> None:
        events = loops.OUT if self._pending else 0
        if self._reading and not self._paused:
            events |= loops.IN
        if self._deaf and not events:  # HUP is level-triggered: do not spin on it
            self._loop.forget(self._sock.fileno())
            if not self._reading:
                self.close()
        else:
            self._loop.watch(self._sock.fileno(), events, self._ready)

    def _ready(self, events: int) -> None:
        if events & loops.OUT:
            self._flush()
        if events & (loops.HUP | loops.ERR):
            self._lose()
        if self._reading and not self._paused and events & (loops.IN | loops.HUP | loops.ERR):
            self._read()
        if not self.closed:
            self._rewatch()
            self._on_change(self)

    def _flush(self) -> None:
        while self._pending:
            first = self._pending[0]
            sent = self._write(first)
            if not self._pending:
                return
            self._waiting -= sent
            if sent < len(first):
                self._pending[0] = first[sent:]
                return
            self._pending.popleft()
        if self._finishing:
            self.close()

    def _read(self) -> None:
        try:
            data = self._sock.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
            self._lose()
        if not data:
            self._reading = False
        self._on_input(self, data)
