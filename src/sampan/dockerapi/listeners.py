"""Where the API is served: unix sockets, TCP with or without TLS, sockets that systemd opened.

A TCP address that others can reach is only served with client certificates (`tlsverify`), because
whoever speaks to the engine is root on its host; `tls: false` in the settings says that somebody
knows and wants it nevertheless.
"""

from __future__ import annotations

import grp
import ipaddress
import os
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sampan.kit import errors
from sampan.linux import service, unix

if TYPE_CHECKING:
    import ssl

    from sampan.engine.settings import Settings

    Listener = tuple[socket.socket, ssl.SSLContext | None]

BACKLOG = 1024
_GROUPS = ("sampan", "docker")


class CannotListen(errors.Unavailable):
    def __init__(self, address: str, why: object) -> None:
        super().__init__(f"cannot listen at {address}: {why}")


def open_all(path: str, settings: Settings) -> tuple[list[Listener], bool]:
    """Each of `hosts`, and the engine's own socket; whether we made that, and not systemd."""
    found: list[Listener] = []
    try:
        for address in settings["hosts"]:
            found += _open(address, settings)
        ours = path not in [sock.getsockname() for sock, _ in found]
        if ours:
            found.append((_unix(path, settings), None))
    except BaseException:
        for sock, _ in found:
            sock.close()
        raise
    return found, ours


def _open(address: str, settings: Settings) -> list[Listener]:
    url = urlsplit(address)
    if url.scheme == "unix":
        return [(_unix(url.path, settings), None)]
    if url.scheme == "fd":
        return [(sock, None) for sock in _passed(address)]
    if url.scheme == "tcp":
        return [(_tcp(address, settings), _tls(address, settings))]
    raise CannotListen(address, "it is neither unix://, tcp:// nor fd://")


def _unix(path: str, settings: Settings) -> socket.socket:
    try:
        sock = unix.bind(path, mode=0o660, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(f"unix://{path}", error.strerror) from error
    sock.setblocking(False)
    gid = _group(settings["group"])
    if gid is not None:
        try:
            os.chown(path, 0, gid)
        except PermissionError:
            pass  # not root: the user alone
    return sock


def _group(wanted: str) -> int | None:
    for name in (wanted,) if wanted else _GROUPS:
        try:
            return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
        except KeyError:
            if wanted:
                raise CannotListen("the unix socket", f"there is no group {wanted}") from None
    return None


def _passed(address: str) -> list[socket.socket]:
    """Sockets from systemd (or whoever speaks its protocol), each used as it is."""
    found = service.passed()
    if not found:
        raise CannotListen(address, "no sockets were passed (LISTEN_FDS, LISTEN_PID)")
    return found


def _tcp(address: str, settings: Settings) -> socket.socket:
    url = urlsplit(address)
    try:
        host, port = url.hostname or "127.0.0.1", url.port
    except ValueError as error:
        raise CannotListen(address, error) from None
    usual = 2376 if _secured(settings) else 2375
    if not settings["tlsverify"] and settings["tls"] is not False and not _is_loopback(host):
        raise CannotListen(
            address,
            "whoever can connect is root on this host; set tlsverify with tlscacert, tlscert and "
            'tlskey, or say "tls": false if that is meant',
        )
    return _server(address, host, port or usual)


def plain(address: str) -> socket.socket:
    """A TCP socket at HOST:PORT, for what is no secret."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise CannotListen(address, "write HOST:PORT")
    return _server(address, host.strip("[]") or "127.0.0.1", int(port))


def _server(address: str, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(address, (error.strerror or str(error)).lower()) from error


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _secured(settings: Settings) -> bool:
    return bool(settings["tls"] or settings["tlsverify"])


def _tls(address: str, settings: Settings) -> ssl.SSLContext | None:
    if not _secured(settings):
        return None
    import ssl

    from sampan.kit import tls

    context = tls.context(ssl.Purpose.CLIENT_AUTH)
    for name in ("tlscert", "tlskey", *(("tlscacert",) if settings["tlsverify"] else ())):
        if not settings[name]:
            raise CannotListen(address, f"TLS needs {name}")
    try:
        context.load_cert_chain(settings["tlscert"], settings["tlskey"])
        if settings["tlsverify"]:
            context.load_verify_locations(settings["tlscacert"])
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        files = f"{settings['tlscert']}, {settings['tlskey']}, {settings['tlscacert']}"
        raise CannotListen(address, f"{error} ({files})") from error
    return context
