"""Unix sockets: names longer than 108 bytes, and messages that carry file descriptors.

A message is four bytes of length (big-endian), that many bytes of JSON, and up to 253
descriptors (SCM_RIGHTS, unix(7)) that travel with its first byte:

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
    from collections.abc import Sequence
    from typing import Any

_LENGTH = struct.Struct(">I")
_MAX_FDS = 253  # SCM_MAX_FD
_MAX_MESSAGE = 64 << 20


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


def send(sock: socket.socket, message: object, fds: Sequence[int] = ()) -> None:
    """Send one message on a blocking socket."""
    data = memoryview(encode(message))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sent = sock.sendmsg([data], rights, socket.MSG_NOSIGNAL)
    if sent < len(data):
        sock.sendall(data[sent:])


def receive(sock: socket.socket) -> tuple[Any, list[int]]:
    """Receive one message from a blocking socket; `(None, [])` when the other side closed."""
    head, fds = _receive_head(sock)
    if not head:
        return None, fds
    try:
        (size,) = _LENGTH.unpack(head)
        if size > _MAX_MESSAGE:
            raise ConnectionError(f"a message of {size} bytes is larger than {_MAX_MESSAGE}")
        return json.loads(_receive_exactly(sock, size)), fds
    except BaseException:
        for fd in fds:
            os.close(fd)
        raise


def _receive_head(sock: socket.socket) -> tuple[bytes, list[int]]:
    space = socket.CMSG_SPACE(_MAX_FDS * 4)
    head, ancillary, _flags, _ = sock.recvmsg(_LENGTH.size, space, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if head and len(head) < _LENGTH.size:
        head += _receive_exactly(sock, _LENGTH.size - len(head))
    return head, list(fds)


def _receive_exactly(sock: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = sock.recv(min(size, 1 << 20))
        if not part:
            raise ConnectionError("the connection closed in the middle of a message")
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
