"""Where an engine listens: `unix:///path`, `tcp://host:port`, `http://host:port`, or a path.

`_socket` is used directly: `socket` would load `enum` and `selectors`, 6 ms, for names alone.
"""

from __future__ import annotations

import _socket
import os

from sampan.client import errors
from sampan.kit.record import Record

DEFAULT_TCP_PORT = 2375
SUN_PATH = 107  # bytes of a name in sockaddr_un, without its end (unix(7))


class Address(Record):
    text: str  # as it is shown to people
    path: str = ""  # a Unix socket
    host: str = ""
    port: int = 0


def parse(text: str) -> Address:
    """Raises BadAddress where the text is none of the forms above."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = ("unix", text) if "/" in text else ("tcp", text)
    if scheme == "unix" and rest:
        return Address(text=f"unix://{rest}", path=rest)
    if scheme in ("tcp", "http") and rest:
        return _parse_tcp(text, rest.rstrip("/"))
    if scheme in ("https", "ssh", "npipe", "fd"):
        raise errors.BadAddress(f"{scheme}:// addresses are not supported: {text!r}")
    raise errors.BadAddress(f"{text!r} is no address; write unix:///path or tcp://host:port")


def _parse_tcp(text: str, rest: str) -> Address:
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, str(DEFAULT_TCP_PORT)
    if not port.isdigit() or not 0 < int(port) < 65536 or "/" in host:
        raise errors.BadAddress(f"{text!r} is no address; write tcp://host:port")
    host = host.strip("[]") or "127.0.0.1"
    return Address(text=f"tcp://{rest}", host=host, port=int(port))


def connect(address: Address) -> _socket.socket:
    """A connected stream socket; raises Unreachable with the reason in words."""
    try:
        return _connect_unix(address.path) if address.path else _connect_tcp(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise errors.Unreachable(address.text, reason) from error


def _connect_unix(path: str) -> _socket.socket:
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    dir_fd = -1
    try:
        if len(os.fsencode(path)) > SUN_PATH:
            directory, name = os.path.split(os.path.abspath(path))
            dir_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            path = f"/proc/self/fd/{dir_fd}/{name}"
        sock.connect(path)
    except BaseException:
        sock.close()
        raise
    finally:
        if dir_fd >= 0:
            os.close(dir_fd)
    return sock


def _connect_tcp(address: Address) -> _socket.socket:
    last: OSError | None = None
    for family, kind, protocol, _, where in _socket.getaddrinfo(
        address.host, address.port, 0, _socket.SOCK_STREAM
    ):
        sock = _socket.socket(family, kind | _socket.SOCK_CLOEXEC, protocol)
        try:
            sock.connect(where)
        except OSError as error:
            sock.close()
            last = error
            continue
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        return sock
    raise last or OSError(f"{address.host} has no address")
