"""A container's streams and ours: one poll loop over stdin, the connection and signals.

    with Signals(...) as signals, terminal.Raw():
        Pump(stream, tty=True, stdin=True, …).run(signals)

Both directions go at once, so a program that fills its output while we still send cannot make
the two sides wait for each other. Without a terminal the engine multiplexes stdout and stderr in
frames (`spec.docker_stream`). The end of our stdin closes one half of the connection; the output
comes to its end by itself.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` would load `enum`
import os
import select

from sampan.cli import detaching, terminal
from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from sampan.client import api, http

BUFFER = 1 << 16
_HEADER = 8

# Never passed on: what the kernel tells us about ourselves.
_OURS = frozenset(
    (_signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGURG, _signal.SIGWINCH, _signal.SIGKILL,
     _signal.SIGSTOP, _signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU, _signal.SIGCONT,
     _signal.SIGSEGV, _signal.SIGBUS, _signal.SIGFPE, _signal.SIGILL)
)  # fmt: skip
_ENDING = (_signal.SIGTERM, _signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT)


class Terminated(Exception):
    """We were told to end; the terminal is restored on the way out."""

    def __init__(self, number: int) -> None:
        self.number = number


class Signals:
    """Signals as bytes in a pipe, so that the poll loop sees them in their turn.

    `on_signal` gets those that are passed on, `on_resize` is called for SIGWINCH. With neither,
    the ending signals raise Terminated from `handle`.
    """

    def __init__(
        self,
        *,
        on_signal: Callable[[int], None] | None = None,
        on_resize: Callable[[], None] | None = None,
    ) -> None:
        self.on_signal = on_signal
        self.on_resize = on_resize
        self._interrupts = 0
        self._old: dict[int, object] = {}

    def __enter__(self) -> Signals:
        self.read_fd, self._write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._wakeup = _signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        wanted = set(_ENDING)
        if self.on_signal is not None:
            wanted |= set(range(1, _signal.NSIG)) - {32, 33} - _OURS  # 32, 33: glibc's own
        if self.on_resize is not None:
            wanted.add(_signal.SIGWINCH)
        for number in wanted:
            try:
                self._old[number] = _signal.signal(number, lambda *_: None)
            except (OSError, ValueError):
                continue
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._old.items():
            _signal.signal(number, handler if handler is not None else _signal.SIG_DFL)
        _signal.set_wakeup_fd(self._wakeup)
        os.close(self.read_fd)
        os.close(self._write_fd)

    def handle(self) -> None:
        """Act on the signals that have come."""
        try:
            numbers = os.read(self.read_fd, 512)
        except BlockingIOError:
            return
        for number in numbers:
            if number == _signal.SIGWINCH:
                if self.on_resize is not None:
                    self.on_resize()
                continue
            if self.on_signal is None:
                raise Terminated(number)
            self._interrupts += number in (_signal.SIGINT, _signal.SIGTERM)
            if self._interrupts >= 3:  # the container does not listen: let the user go
                raise Terminated(number)
            self.on_signal(number)


class Pump:
    """`run` returns True when the user detached, False when the output came to its end."""

    def __init__(
        self,
        stream: http.Hijacked,
        *,
        tty: bool,
        stdin: bool,
        detach_keys: bytes = b"",
        stdout: bool = True,
        stderr: bool = True,
    ) -> None:
        self._stream = stream
        self._tty = tty
        self._stdin = stdin
        self._keys = detaching.KeyFilter(detach_keys) if detach_keys else None
        self._frames = b""
        self._out = bytearray()
        self._half_closed = not stdin
        self._shown = {1: stdout, 2: stderr}

    def run(self, signals: Signals) -> bool:
        self._stream.sock.setblocking(False)
        poll = select.poll()
        poll.register(signals.read_fd, select.POLLIN)
        if self._stdin:
            poll.register(0, select.POLLIN)
        socket_fd = self._stream.fileno()
        while True:
            poll.register(socket_fd, select.POLLIN | (select.POLLOUT if self._out else 0))
            ready = dict(poll.poll(0 if self._stream.pending else None))
            if signals.read_fd in ready:
                signals.handle()
            if ready.get(socket_fd, 0) & select.POLLOUT:
                self._flush()
            if (ready.get(socket_fd, 0) & ~select.POLLOUT or self._stream.pending) and (
                not self._receive()
            ):
                return False
            if 0 in ready and not self._read_stdin():
                return True
            self._watch_stdin(poll)

    def _watch_stdin(self, poll: select.poll) -> None:
        """Read no more input while the engine has not taken what there is."""
        if self._stdin and len(self._out) < BUFFER:
            poll.register(0, select.POLLIN)
        else:
            try:
                poll.unregister(0)
            except KeyError:
                pass
        if not self._stdin and not self._out and not self._half_closed:
            self._half_closed = True
            self._stream.close_write()

    def _read_stdin(self) -> bool:
        """False when the detach keys were pressed."""
        try:
            data = os.read(0, BUFFER)
        except OSError:
            data = b""  # a background process reading its terminal, or a terminal that is gone
        if not data:
            self._stdin = False
            return True
        if self._keys is not None:
            data = self._keys.feed(data)
        self._out += data
        self._flush()
        return self._keys is None or not self._keys.detached

    def _flush(self) -> None:
        try:
            sent = self._stream.sock.send(self._out)
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._stdin, self._half_closed = False, True  # the process has ended; output may come
            self._out.clear()
            return
        del self._out[:sent]

    def _receive(self) -> bool:
        try:
            data = self._stream.receive(BUFFER)
        except BlockingIOError:
            return True
        if not data:
            return False
        if self._tty:
            if self._shown[1]:
                write_all(1, data)
        else:
            self._frames = show_frames(self._frames + data, self._shown)
        return True


def show_frames(data: bytes, shown: dict[int, bool] | None = None) -> bytes:
    """Write whole and half frames to stdout and stderr; returns what must wait for more bytes."""
    while len(data) >= _HEADER:
        size = int.from_bytes(data[4:8], "big")
        if data[0] > 3:
            raise errors.BrokenAnswer(f"unrecognized stream: {data[0]}")
        if len(data) < _HEADER + size:
            return data
        payload = data[_HEADER : _HEADER + size]
        if data[0] == 3:
            raise errors.ApiError(payload.decode("utf-8", "replace").strip())
        fd = 2 if data[0] == 2 else 1
        if shown is None or shown[fd]:
            write_all(fd, payload)
        data = data[_HEADER + size :]
    return data


def write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def wait_readable(fd: int, signals: Signals) -> None:
    """Wait for the engine's word, acting on signals meanwhile."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.register(signals.read_fd, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if signals.read_fd in ready:
            signals.handle()
        if fd in ready:
            return


def resizer(client: api.Client, path: str) -> Callable[[], None]:
    """A function that gives a container (or exec) our terminal's size."""

    def resize() -> None:
        rows, columns = terminal.size(1)
        if not rows:
            rows, columns = terminal.size(0)
        if rows:
            try:
                client.call("POST", f"{path}/resize", {"h": rows, "w": columns})
            except errors.ApiError:
                pass  # it has just ended

    return resize


def killer(client: api.Client, container_id: str) -> Callable[[int], None]:
    """A function that passes a signal on to a container."""

    def kill(number: int) -> None:
        try:
            client.call("POST", f"/containers/{container_id}/kill", {"signal": number})
        except errors.ApiError:
            pass  # it has just ended

    return kill
