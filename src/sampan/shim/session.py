"""The streams of one process, the container's or an exec's: from its outputs to the log and every
attached client, from clients to its stdin.

    session.use(streams)
    session.attach(wants)
    …the loop runs; the process exits…
    session.drain(then)           # everything it wrote is delivered, clients closed, then() called
"""

from __future__ import annotations

import binascii
import os
from functools import partial

from sampan.shim import loop as loops
from sampan.shim import parsing, stdio
from sampan.shim.attach import Client, DetachKeys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.shim.logs import LogDriver
    from sampan.shim.protocol import Attach

GRACE = 2.0  # seconds that heirs of a finished process may hold its output open; Docker's figure


class Session:
    """`stdin_once`: the first client whose stdin ends, ends the process's. `on_detach()` is called
    when a client typed its detach keys (only on a terminal, where no data can contain them)."""

    def __init__(
        self,
        loop: loops.Loop,
        *,
        log: LogDriver | None = None,
        stdin_once: bool = False,
        on_detach: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop, self._log, self._stdin_once = loop, log, stdin_once
        self._on_detach = on_detach
        self._outputs: dict[int, int] = {}  # descriptor → stream
        self._clients: list[Client] = []
        self._keys: dict[Client, DetachKeys] = {}
        self._stdin: stdio.Stdin | None = None
        self._console: stdio.Console | None = None
        self._paused = False
        self._after: Callable[[], None] | None = None

    # ---- the process's side

    def use(self, streams: stdio.Streams) -> None:
        """Owns our side of the streams from now on."""
        self._console = streams.console
        stdin = streams.stdin
        for stream, fd in streams.outputs.items():
            self._add_output(fd, stream)
        if self._console is not None:
            self._add_output(self._console.master, 1)
            if streams.wants_stdin:  # its own descriptor, because epoll knows each only once
                stdin = os.dup(self._console.master)
        if stdin >= 0:
            self._stdin = stdio.Stdin(self._loop, stdin, self._stdin_changed)
        self._watch_outputs()

    def resize(self, rows: int, columns: int) -> bool:
        """False where there is no terminal."""
        if self._console is None or not self._outputs:
            return False
        self._console.resize(rows, columns)
        return True

    def end_stdin(self) -> None:
        if self._stdin is not None and self._console is None:
            self._stdin.end()

    def drain(self, then: Callable[[], None]) -> None:
        """The process is gone: deliver what it wrote, close its streams, then call `then`.

        Slow clients do not hold this up: what is left is at most a pipe's capacity, and they get
        it from memory. Heirs that keep an output open are given `GRACE` seconds.
        """
        self._after = then
        if self._stdin is not None:
            self._stdin.close()
        if self._console is not None:
            self._console.let_go()
        for fd in list(self._outputs):
            while fd in self._outputs and self._read(fd):
                pass
        if not self._outputs:
            self._finish()
        else:
            self._pause(False)
            self._loop.call_later(GRACE, self._finish)

    def _finish(self) -> None:
        then, self._after = self._after, None
        if then is None:
            return
        for fd in list(self._outputs):
            self._drop_output(fd)
        for client in self.clients:
            client.finish()
        then()

    def _add_output(self, fd: int, stream: int) -> None:
        os.set_blocking(fd, False)
        self._outputs[fd] = stream

    def _watch_outputs(self) -> None:
        for fd in self._outputs:
            self._loop.watch(fd, loops.IN, partial(self._readable, fd))

    def _drop_output(self, fd: int) -> None:
        self._loop.forget(fd)
        del self._outputs[fd]
        os.close(fd)

    def _readable(self, fd: int, _events: int) -> None:
        if fd in self._outputs:
            self._read(fd)
            if self._after is not None and not self._outputs:
                self._finish()

    def _read(self, fd: int) -> bool:
        """Deliver one chunk; False when there was none (now, or for ever)."""
        try:
            chunk = os.read(fd, stdio.CHUNK)
        except BlockingIOError:
            return False
        except OSError:  # EIO: a pty whose slaves are all closed
            chunk = b""
        if not chunk:
            self._drop_output(fd)
            return False
        stream = self._outputs[fd]
        if self._log is not None:
            self._log.write(stream, chunk)
        for client in self.clients:
            client.send(stream, chunk)
        if self._after is None and self._somebody_is_full():
            self._pause(True)
        return True

    def _somebody_is_full(self) -> bool:
        if self._log is not None and self._log.full:
            return True
        return any(client.full for client in self._clients)

    def room(self) -> None:
        """A client or the log that was full takes more again."""
        if self._paused and not self._somebody_is_full():
            self._pause(False)

    def _pause(self, paused: bool) -> None:
        if paused and not self._paused:
            for fd in self._outputs:
                self._loop.forget(fd)  # HUP would be reported even without IN
        elif self._paused and not paused:
            self._watch_outputs()
        self._paused = paused

    # ---- the clients' side

    @property
    def clients(self) -> list[Client]:
        """Those still attached, or still being told the rest."""
        return list(self._clients)

    def attach(self, wants: Attach) -> None:
        """Owns the client's descriptor from now on; raises `InvalidArgument` for detach keys."""
        keys = parsing.detach_keys(wants.detach_keys) if self._console is not None else b""
        client = Client(
            self._loop, wants, on_input=self._client_input, on_change=self._client_changed
        )
        self._clients.append(client)
        self._keys[client] = DetachKeys(keys)
        if self._stdin is not None and self._stdin.blocked:
            client.pause(True)
        if wants.pending and wants.stdin:
            self._client_input(client, binascii.a2b_base64(wants.pending))
        if not self._outputs:
            client.finish()

    def _client_input(self, client: Client, data: bytes) -> None:
        typed, detached = self._keys[client].feed(data)
        if self._stdin is not None and typed:
            self._stdin.write(typed)
        if detached:
            client.finish()
            self._on_detach()
        elif not data and self._stdin_once:
            self.end_stdin()

    def _client_changed(self, client: Client) -> None:
        if client.closed and client in self._clients:
            self._clients.remove(client)
            del self._keys[client]
        self.room()

    def _stdin_changed(self) -> None:
        blocked = self._stdin is not None and self._stdin.blocked
        for client in self._clients:
            client.pause(blocked)
