"""The line between the caller and PID 1: small messages over a socket pair that keeps them apart.

A message is a tuple of strings; `()` is the end. The other side's end closes at its execve,
which is how the caller learns that the command runs.
"""

from __future__ import annotations

import _socket
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime import sources

_MAX = 64 << 10
_FIELD = "\0"


class Channel:
    def __init__(self, fd: int) -> None:
        self.fd = fd

    def send(self, *parts: str) -> None:
        os.write(self.fd, _FIELD.join(parts).encode("utf-8", "surrogateescape")[:_MAX])

    def receive(self) -> tuple[str, ...]:
        try:
            data = os.read(self.fd, _MAX)
        except ConnectionResetError:
            data = b""
        return tuple(data.decode("utf-8", "surrogateescape").split(_FIELD)) if data else ()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def expect(channel: Channel, word: str) -> None:
    if channel.receive()[:1] != (word,):
        os._exit(1)  # the caller is gone or gave up


def pair() -> tuple[Channel, Channel]:
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    return Channel(ours.detach()), Channel(theirs.detach())


def accept(listener: int) -> Channel:
    """The next caller of a listening socket of this kind."""
    sock = _socket.socket(fileno=os.dup(listener))
    fd, _address = sock._accept()  # type: ignore[attr-defined]
    return Channel(fd)


def listen(path: str) -> int:
    """A listening socket at `path` (at most 107 bytes; relative ones to the working directory)."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    sock.bind(path)
    sock.listen(1)
    return sock.detach()


def connect(path: str) -> Channel:
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    sock.connect(path)
    return Channel(sock.detach())


def receive_descriptor(sock: int) -> tuple[str, int]:
    """(message, the descriptor that came with it or -1); ("", -1) at the end."""
    other = _socket.socket(fileno=os.dup(sock))
    try:
        data, rights, _flags, _address = other.recvmsg(256, 64, _socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        return "", -1
    finally:
        other.close()
    found = [item for _level, _kind, item in rights]
    return data.decode(), int.from_bytes(found[0][:4], "little") if found else -1


def send_descriptor(sock: int, name: str, fd: int) -> None:
    """One descriptor by SCM_RIGHTS, with its name as the message (what runc's callers expect)."""
    other = _socket.socket(fileno=os.dup(sock))
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, "little"))
    other.sendmsg([name.encode()], [rights])
    other.close()


class Wires:
    """The descriptors that a child starts with; -1 is none."""

    def __init__(
        self,
        channel: Channel,
        *,
        gate: int = -1,
        stdio: tuple[int, int, int] | None = None,
        console: int = -1,
    ) -> None:
        self.channel, self.gate, self.stdio, self.console = channel, gate, stdio, console
        self.label = -1  # of this process: the file in the host's /proc that takes its label
        self.settled = False  # nobody outside has to do anything before we go into our cgroups
        self.cgroups: list[int] = []  # `tasks` files to write ourselves into
        self.late_cgroups: list[int] = []  # the same, when the mounts are made
        self.joined: set[str] = set()  # namespaces that the clone began in
        self.held: sources.Held = {}  # what mounts need that was opened before the clone
