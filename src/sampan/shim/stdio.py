"""The monitor's ends of a container's stdin, stdout and stderr: pipes, or the master of a pty."""

from __future__ import annotations

import fcntl
import os
import struct
import termios

from sampan.shim import loop as loops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

CHUNK = 64 * 1024  # a pipe's capacity
_TIOCGPTPEER = 0x5441  # ioctl_tty(2)


class Ends:
    """Descriptors: `theirs` become 0, 1, 2 of the process, the others stay here."""

    def __init__(self, theirs: tuple[int, int, int], stdin: int, outputs: dict[int, int]) -> None:
        self.theirs, self.stdin, self.outputs = theirs, stdin, outputs

    def close_theirs(self) -> None:
        for fd in self.theirs:
            os.close(fd)
        self.theirs = (-1, -1, -1)

    def close_ours(self) -> None:
        for fd in (self.stdin, *self.outputs.values()):
            if fd >= 0:
                os.close(fd)
        self.stdin, self.outputs = -1, {}


def pipes(*, stdin: bool, output: bool = True) -> Ends:
    """Three streams; without `stdin` the process reads /dev/null, without `output` it writes it."""
    ours_in, outputs = -1, {}
    if stdin:
        their_in, ours_in = os.pipe()
    else:
        their_in = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    theirs = [their_in]
    for stream in (1, 2):
        if output:
            outputs[stream], write_end = os.pipe()
        else:
            write_end = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
        theirs.append(write_end)
    return Ends((theirs[0], theirs[1], theirs[2]), ours_in, outputs)


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
