"""A container in front of its caller: signals and terminal go through, its exit code is ours."""

from __future__ import annotations

import _socket
import os
import select

from sampan.linux import process, pty, signals
from sampan.linux.process import PR
from sampan.linux.signals import SIGCHLD, SIGWINCH
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.runtime.notify import Relay
    from sampan.spec import oci_runtime


def console(path: str) -> Any:
    """The caller's console socket, connected, or None without a path."""
    return connect("--console-socket", path) if path else None


def connect(option: str, path: str) -> Any:
    """A stream socket to what an option names."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise errors.InvalidConfig(f"{option} {path}: {errors.reason(error)}") from error
    return sock


def adopt() -> None:
    """Become the parent of what the container's processes leave behind (prctl(2))."""
    process.prctl(PR.SET_CHILD_SUBREAPER, 1)


class Terminal:
    """Our own terminal, in raw mode, and the master of the container's."""

    def __init__(self) -> None:
        self.sender, self._receiver = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        self._saved: Any = None
        self._master = -1

    @classmethod
    def needed(cls, spec: oci_runtime.Process | None, console_socket: str) -> Terminal | None:
        return cls() if spec and spec.terminal and not console_socket else None

    def receive(self) -> None:
        """The master that PID 1 has sent; to be called before anything is written to it."""
        _, ancillary, _, _ = self._receiver.recvmsg(4096, _socket.CMSG_SPACE(4))
        self._master = int.from_bytes(ancillary[0][2][:4], "little")
        pty.plain_newlines(self._master)

    def take(self) -> int:
        """The master; our terminal is raw from here on."""
        if self._master < 0:
            self.receive()
        master = self._master
        if os.isatty(0):
            import termios
            import tty

            self._saved = termios.tcgetattr(0)
            tty.setraw(0)
            raw = termios.tcgetattr(0)
            raw[1] |= termios.OPOST  # "\n" becomes "\r\n" here, where it is shown, and only here
            termios.tcsetattr(0, termios.TCSADRAIN, raw)
        self.resize(master)
        return master

    def resize(self, master: int) -> None:
        try:
            pty.set_size(master, *pty.size(0))
        except OSError:  # ours is no terminal
            pass

    def restore(self) -> None:
        if self._saved:
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._saved)


def catch_signals(*, detached: bool) -> None:
    """From here on they wait for `wait` to forward them."""
    if not detached:
        signals.block_all()


def wait(pid: int, pidfd: int, terminal: Terminal | None, relay: Relay | None = None) -> int:
    """Serve it until it ends: its exit code, or 128 and the signal's number."""
    if terminal is None:
        if relay and (status := _until_ready(pid, pidfd, relay)) is not None:
            return _code(status)
        while True:
            number, _ = signals.wait()
            if number == SIGCHLD:
                status = _reap(pid)
                if status is not None:
                    return _code(status)
            else:
                _forward(pidfd, number)
    master = terminal.take()
    try:
        return _proxy(pid, pidfd, terminal, master, relay)
    finally:
        terminal.restore()
        os.close(master)


def _until_ready(pid: int, pidfd: int, relay: Relay) -> int | None:
    """The wait status where it ended before it said that it is ready."""
    poll = select.poll()
    for fd in (relay.fileno(), pidfd, signals.descriptor()):
        poll.register(fd, select.POLLIN)
    while True:
        found = [fd for fd, _ in poll.poll()]
        ready = relay.fileno() in found and relay.serve(os.getpid())
        if pidfd in found:
            return os.waitpid(pid, 0)[1]
        if ready:  # a SIGCHLD that is there now is left to whoever waits next
            return None
        if signals.descriptor() in found:
            for number in signals.pending():
                if number != SIGCHLD:
                    _forward(pidfd, number)


def _reap(pid: int) -> int | None:
    """All children that have ended; the status of `pid` if it is among them."""
    while True:
        try:
            found, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if found in (0, pid):
            return status if found else None


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _forward(pidfd: int, number: int) -> None:
    try:
        signals.send(pidfd, number)
    except (ProcessLookupError, PermissionError):
        pass


def _proxy(
    pid: int, pidfd: int, terminal: Terminal, master: int, relay: Relay | None = None
) -> int:
    poll = select.poll()
    for fd in (0, master, pidfd, signals.descriptor(), *([relay.fileno()] if relay else [])):
        poll.register(fd, select.POLLIN)
    status = None
    targets = {0: master, master: 1}
    while status is None:
        for fd, _ in poll.poll():
            if fd in targets:
                if not _copy(fd, targets[fd]):
                    poll.unregister(fd)
            elif fd == pidfd:
                status = os.waitpid(pid, 0)[1]
            elif relay and fd == relay.fileno():
                relay.serve(os.getpid())
            else:
                _signal(terminal, master, pidfd)
    while select.select([master], [], [], 0)[0] and _copy(master, 1):
        pass
    return _code(status)


def _signal(terminal: Terminal, master: int, pidfd: int) -> None:
    for number in signals.pending():
        if number == SIGWINCH:
            terminal.resize(master)
        elif number != SIGCHLD:
            _forward(pidfd, number)


def _copy(source: int, destination: int) -> bool:
    try:
        data = os.read(source, 65536)
    except OSError:  # EIO: the last process has closed the terminal
        return False
    while data:
        data = data[os.write(destination, data) :]
        if not data:
            return True
    return False
