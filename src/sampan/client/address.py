"""Where an engine listens: `unix:///path`, `tcp://host:port`, `ssh://[user@]host[:port][/path]`,
or a path.

`_socket` is used directly: `socket` would load `enum` and `selectors`, 6 ms, for names alone.
"""

from __future__ import annotations

import _socket
import os

from sampan.client import errors
from sampan.kit.record import Record

DEFAULT_TCP_PORT, DEFAULT_TLS_PORT = 2375, 2376
SUN_PATH = 107  # bytes of a name in sockaddr_un, without its end (unix(7))


TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.client.tunnel import Tls


class Address(Record):
    text: str  # as it is shown to people
    scheme: str  # unix, tcp, ssh
    path: str = ""  # a Unix socket; with ssh: on the other host, "" for the default one there
    host: str = ""
    port: int = 0  # with ssh 0: what its configuration says
    user: str = ""
    tls: Tls | None = None


def parse(text: str, tls: Tls | None = None) -> Address:
    """Raises BadAddress where the text is none of the forms above. `tls` is for tcp alone."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = ("unix", text) if "/" in text else ("tcp", text)
    if scheme == "unix" and rest:
        return Address(text=f"unix://{rest}", scheme="unix", path=rest)
    if scheme in ("tcp", "http") and rest:
        return _parse_tcp(text, rest.rstrip("/"), tls)
    if scheme == "ssh" and rest:
        return _parse_ssh(text, rest)
    if scheme in ("https", "npipe", "fd"):
        raise errors.BadAddress(f"{scheme}:// addresses are not supported: {text!r}")
    raise errors.BadAddress(
        f"{text!r} is no address; write unix:///path, tcp://host:port or ssh://user@host"
    )


def _parse_ssh(text: str, rest: str) -> Address:
    where, slash, path = rest.partition("/")
    user, _, where = where.rpartition("@")
    host, colon, port = where.rpartition(":")
    if not colon or where.endswith("]"):
        host, port = where, "0"
    host = host.strip("[]")
    if not host or host.startswith("-") or user.startswith("-") or not port.isdecimal():
        raise errors.BadAddress(f"{text!r} is no address; write ssh://[user@]host[:port]")
    if ":" in user or "'" in path:
        what = "a password (use a key or an agent)" if ":" in user else "a quote"
        raise errors.BadAddress(f"ssh://{host}: the address may not hold {what}")
    path = f"/{path}" if slash and path else ""
    return Address(text=text, scheme="ssh", path=path, host=host, port=int(port), user=user)


def _parse_tcp(text: str, rest: str, tls: Tls | None) -> Address:
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, str(DEFAULT_TLS_PORT if tls else DEFAULT_TCP_PORT)
    if not port.isdecimal() or not 0 < int(port) < 65536 or "/" in host:
        raise errors.BadAddress(f"{text!r} is no address; write tcp://host:port")
    host = host.strip("[]") or "127.0.0.1"
    return Address(text=f"tcp://{rest}", scheme="tcp", host=host, port=int(port), tls=tls)


def connect(address: Address) -> _socket.socket:
    """A connected stream socket; raises Unreachable with the reason in words."""
    if address.scheme == "ssh":
        from sampan.client import tunnel

        return tunnel.ssh(address)
    try:
        sock = _connect_unix(address.path) if address.path else _connect_tcp(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise errors.Unreachable(address.text, reason) from error
    if address.tls:
        from sampan.client import tunnel

        return tunnel.tls(sock, address, address.tls)
    return sock


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
