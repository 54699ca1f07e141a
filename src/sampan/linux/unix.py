"""Unix sockets: names longer than 108 bytes, and messages that carry file descriptors.

A message is four bytes of length (big-endian), that many bytes of JSON, and descriptors
(SCM_RIGHTS, unix(7)): 253 travel with its first byte, more with its last ones:

    send(sock, {"op": "attach", "stdin": True}, [client.fileno()])
    message, fds = receive(sock)          # (None, []) at the end of the stream

Received descriptors are close-on-exec and belong to the caller.
"""

from __future__ import annotations

import array
import json
import os
import socket
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

_LENGTH = struct.Struct(">I")
_MAX_FDS = 253  # SCM_MAX_FD
_MAX_MESSAGE = 64 << 20
_CUT = "the connection closed in the middle of a message"


def bind(path: str, *, mode: int = 0o600, backlog: int = 128) -> socket.socket:
    """A listening stream socket at `path`; a stale one there is replaced."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    directory, name = os.path.split(os.path.abspath(path))
    dir_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            os.unlink(name, dir_fd=dir_fd)
        except FileNotFoundError:
            pass
        old = os.umask(0o777 & ~mode)
        try:
            sock.bind(f"/proc/self/fd/{dir_fd}/{name}")  # sun_path holds 108 bytes
        finally:
            os.umask(old)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    finally:
        os.close(dir_fd)
    return sock


def connect(path: str) -> socket.socket:
    """A stream connected to `path`; raises OSError as connect(2) does."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connect_to(sock, path)
    except BaseException:
        sock.close()
        raise
    return sock


def connect_to(sock: socket.socket, path: str) -> None:
    """connect(2) for a name of any length."""
    directory, name = os.path.split(os.path.abspath(path))
    dir_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock.connect(f"/proc/self/fd/{dir_fd}/{name}")
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(dir_fd)


def encode(message: object) -> bytes:
    body = json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()
    return _LENGTH.pack(len(body)) + body


def pieces(data: bytes, fds: Sequence[int]) -> Iterator[tuple[bytes, list[int]]]:
    """What is sent one after another: the last bytes alone, as many as it takes for all of them."""
    more = max(0, (len(fds) - 1) // _MAX_FDS)
    yield data[: len(data) - more], list(fds[:_MAX_FDS])
    for number in range(1, more + 1):
        at = len(data) - more - 1 + number
        yield data[at : at + 1], list(fds[number * _MAX_FDS : (number + 1) * _MAX_FDS])


def rights(fds: Sequence[int]) -> list[tuple[int, int, array.array[int]]]:
    """As sendmsg(2) wants them."""
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []


def send(sock: socket.socket, message: object, fds: Sequence[int] = ()) -> None:
    """Send one message on a blocking socket."""
    for data, some in pieces(encode(message), fds):
        sent = sock.sendmsg([data], rights(some), socket.MSG_NOSIGNAL)
        if sent < len(data):
            sock.sendall(data[sent:])


def receive(sock: socket.socket) -> tuple[Any, list[int]]:
    """Receive one message from a blocking socket; `(None, [])` when the other side closed."""
    fds: list[int] = []
    try:
        head = _receive(sock, _LENGTH.size, fds)
        if not head:
            return None, fds
        (size,) = _LENGTH.unpack(head)
        if size > _MAX_MESSAGE:
            raise ConnectionError(f"a message of {size} bytes is larger than {_MAX_MESSAGE}")
        data = _receive(sock, size, fds)
        if not data:
            raise ConnectionError(_CUT)
        return json.loads(data), fds
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise


def _receive(sock: socket.socket, size: int, fds: list[int]) -> bytes:
    """So many bytes, and onto `fds` what comes with them; nothing at all at the end."""
    space = socket.CMSG_SPACE(_MAX_FDS * 4)
    parts: list[bytes] = []
    while size:
        part, ancillary, _flags, _ = sock.recvmsg(
            min(size, 1 << 20), space, socket.MSG_CMSG_CLOEXEC
        )
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                some = array.array("i")
                some.frombytes(data[: len(data) - len(data) % some.itemsize])
                fds.extend(some)
        if not part:
            if parts:
                raise ConnectionError(_CUT)
            break
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class Decoder:
    """The same messages for a reader that gets bytes as they come (no descriptors)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Any]:
        self._buffer += data
        messages = []
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                break
            messages.append(json.loads(self._buffer[_LENGTH.size : end]))
            del self._buffer[:end]
        return messages
