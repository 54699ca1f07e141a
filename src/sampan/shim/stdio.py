"""The monitor's ends of a container's stdin, stdout and stderr: pipes, or the master of a pty."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios

from sampan.kit import errors
from sampan.shim import loop as loops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

CHUNK = 64 * 1024  # a pipe's capacity
_TIOCGPTPEER = 0x5441  # ioctl_tty(2)


class Streams:
    """The streams of a process that is about to be made, theirs and ours.

    `theirs` become 0, 1, 2 (pipes); with a terminal the runtime sends the pty's master over
    `console_socket` instead. Without `stdin` the process reads /dev/null, without `output` it
    writes there.
    """

    def __init__(self, *, tty: bool, stdin: bool, output: bool = True) -> None:
        self.theirs: tuple[int, int, int] | None = None
        self.console_socket: socket.socket | None = None
        self.console: Console | None = None
        self.stdin = -1
        self.outputs: dict[int, int] = {}  # stream → descriptor
        self._receiver: socket.socket | None = None
        self.wants_stdin = stdin
        if tty:
            self._receiver, self.console_socket = socket.socketpair()
        else:
            self._make_pipes(stdin, output)

    def _make_pipes(self, stdin: bool, output: bool) -> None:
        if stdin:
            reader, self.stdin = os.pipe()
        else:
            reader = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        writers = []
        for stream in (1, 2):
            if output:
                self.outputs[stream], writer = os.pipe()
            else:
                writer = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
            writers.append(writer)
        self.theirs = (reader, writers[0], writers[1])

    def listen(self, listener: socket.socket) -> None:
        """The terminal's master comes from a program that connects there."""
        assert self._receiver is not None
        self._receiver.close()
        self._receiver = listener

    def forked(self) -> None:
        """The process has its ends; ours of them would keep the streams open for ever."""
        for fd in self.theirs or ():
            os.close(fd)
        self.theirs = None
        if self.console_socket is not None:
            self.console_socket.close()
            self.console_socket = None

    def ready(self, size: tuple[int, int] | None) -> None:
        """The process has its streams: with a terminal, take the master, and give it its size."""
        if self._receiver is None:
            return
        if self._receiver.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            listener, (self._receiver, _) = self._receiver, self._receiver.accept()
            listener.close()
        _, fds, _, _ = socket.recv_fds(self._receiver, 4096, 1)
        self._receiver.close()
        self._receiver = None
        if not fds:
            raise errors.Unavailable("the process ended before it sent its terminal")
        os.set_inheritable(fds[0], False)
        self.console = Console(fds[0])
        if size is not None:
            self.console.resize(*size)

    def pack(self, fds: list[int]) -> dict[str, object]:
        """Our side as a message; its descriptors are appended to `fds`. See `unpack`."""

        def index(fd: int) -> int:
            fds.append(fd)
            return len(fds) - 1

        return {
            "stdin": index(self.stdin) if self.stdin >= 0 else None,
            "wants_stdin": self.wants_stdin,
            "outputs": [[stream, index(fd)] for stream, fd in self.outputs.items()],
            "console": index(self.console.master) if self.console else None,
            "receiver": index(self._receiver.fileno()) if self._receiver else None,
        }

    def close(self) -> None:
        """After a failed start."""
        self.forked()
        for fd in (self.stdin, *self.outputs.values()):
            if fd >= 0:
                os.close(fd)
        self.stdin, self.outputs = -1, {}
        if self._receiver is not None:
            self._receiver.close()
        if self.console is not None:
            self.console.close()


def unpack(message: dict[str, Any], fds: list[int]) -> Streams:
    """What `pack` made, in the process that received it."""
    streams = Streams.__new__(Streams)
    streams.theirs = streams.console_socket = streams._receiver = None
    if message["receiver"] is not None:
        streams._receiver = socket.socket(fileno=fds[message["receiver"]])
    streams.stdin = fds[message["stdin"]] if message["stdin"] is not None else -1
    streams.wants_stdin = message["wants_stdin"]
    streams.outputs = {stream: fds[index] for stream, index in message["outputs"]}
    console = message["console"]
    streams.console = Console(fds[console]) if console is not None else None
    return streams


class Console:
    """A pty's master. A slave is held open too, so that a container whose processes all close
    their terminal for a moment does not look finished (read(2) on the master: EIO)."""

    def __init__(self, master: int) -> None:
        self.master = master
        flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
        try:
            self._slave = fcntl.ioctl(master, _TIOCGPTPEER, flags)
        except OSError:
            self._slave = -1  # Linux < 4.13

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def let_go(self) -> None:
        """From now on the master ends when the container's processes have."""
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1

    def close(self) -> None:
        self.let_go()
        os.close(self.master)


class Stdin:
    """What clients typed, on its way into the process; at most one chunk waits here.

    `on_change()` is called when `blocked` may have changed.
    """

    def __init__(self, loop: loops.Loop, fd: int, on_change: Callable[[], None]) -> None:
        os.set_blocking(fd, False)
        self._loop, self._fd, self._on_change = loop, fd, on_change
        self._pending = b""
        self._ending = False

    @property
    def blocked(self) -> bool:
        return bool(self._pending)

    def write(self, data: bytes) -> None:
        """Only a stdin that is not blocked should be given more."""
        if self._fd >= 0 and not self._ending:
            self._pending += data
            self._flush()

    def end(self) -> None:
        """Close it once everything is written: the process reads its end of file."""
        self._ending = True
        self._flush()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.forget(self._fd)
            os.close(self._fd)
        self._fd, self._pending = -1, b""

    def _flush(self, _events: int = 0) -> None:
        was_blocked = self.blocked
        try:
            while self._pending and self._fd >= 0:
                self._pending = self._pending[os.write(self._fd, self._pending) :]
        except BlockingIOError:
            self._loop.watch(self._fd, loops.OUT, self._flush)
        except OSError:  # EPIPE: the process closed it, nobody wants the rest
            self.close()
        if not self._pending and self._fd >= 0:
            self._loop.forget(self._fd)
            if self._ending:
                self.close()
        if was_blocked or self.blocked:
            self._on_change()
