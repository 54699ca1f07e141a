"""A host's port is reserved by really having it: bound sockets, not a number in a file.

    reservation = reserve("", 8080, "tcp")
    ... hand reservation.fds() to the container's monitor, then reservation.close()

The monitor holds the sockets for the container's life, so nobody else can take the port, engine
running or not, and the kernel frees it with the monitor. nft translates before a socket is looked
up; what it does not translate (IPv6, ::1) arrives at these sockets and is relayed by the monitor.
An SCTP socket is bound but does not listen: it is not relayed, and bound is enough to have it.
"""

from __future__ import annotations

import errno
import socket

from sampan.kit.record import Record
from sampan.network import errors

_KINDS = {
    "tcp": (socket.SOCK_STREAM, 0),
    "udp": (socket.SOCK_DGRAM, 0),
    "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),
}
_ATTEMPTS = 32  # for a free port that is free in both address families
_BACKLOG = 1024


class Reservation(Record):
    """One bound (tcp: listening) socket an address family. The caller closes it."""

    host_ip: str  # as asked for, "" for every address
    port: int
    protocol: str
    sockets: tuple[socket.socket, ...]

    def fds(self) -> list[int]:
        return [s.fileno() for s in self.sockets]

    def silence(self) -> None:
        """Keep the port, but refuse connections: a network without a way out publishes nothing."""
        for s in self.sockets:
            if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                s.shutdown(socket.SHUT_RDWR)  # it stays bound (inet_shutdown in af_inet.c)

    def close(self) -> None:
        for s in self.sockets:
            s.close()


def reserve(host_ip: str, port: int, protocol: str, *, last: int = 0) -> Reservation:
    """Reserve `port`, the first free of `port` … `last`, or with port 0 one the kernel chooses.

    `host_ip` "" means all addresses, IPv4 and IPv6; "0.0.0.0" and "::" one family only. Raises
    `errors.PortAllocated`, or `InvalidPort` for what this host cannot have.
    """
    if protocol not in _KINDS:
        raise errors.InvalidPort(
            f"cannot publish a port of protocol {protocol}: only tcp, udp and sctp are supported"
        )
    if not port:
        return _any_port(host_ip, protocol)
    for candidate in range(port, max(port, last) + 1):
        try:
            return _bind(host_ip, candidate, protocol)
        except errors.PortAllocated:
            if candidate >= last:
                raise
    raise AssertionError("unreachable")


def _any_port(host_ip: str, protocol: str) -> Reservation:
    for _ in range(_ATTEMPTS - 1):
        try:
            return _bind(host_ip, 0, protocol)
        except errors.PortAllocated:
            continue
    return _bind(host_ip, 0, protocol)


def _bind(host_ip: str, port: int, protocol: str) -> Reservation:
    addresses = (host_ip,) if host_ip else ("0.0.0.0", "::")
    sockets: list[socket.socket] = []
    try:
        for address in addresses:
            try:
                sockets.append(_socket(address, port, protocol))
            except OSError as e:
                if not host_ip and sockets and e.errno in _NO_IPV6:
                    continue
                raise _refused(e, host_ip, port, protocol) from e
            port = port or sockets[0].getsockname()[1]
    except BaseException:
        for s in sockets:
            s.close()
        raise
    return Reservation(host_ip=host_ip, port=port, protocol=protocol, sockets=tuple(sockets))


_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def _socket(address: str, port: int, protocol: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind, number = _KINDS[protocol]
    s = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, number)
    try:
        if family == socket.AF_INET6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if protocol == "tcp":
            # Old connections in TIME_WAIT do not keep the port; a listener still does. On UDP
            # the same option would let two containers have one port (socket(7)).
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        if protocol == "tcp":
            s.listen(_BACKLOG)
    except BaseException:
        s.close()
        raise
    return s


def _refused(error: OSError, host_ip: str, port: int, protocol: str) -> Exception:
    shown = f"{host_ip or '0.0.0.0'}:{port}" if ":" not in host_ip else f"[{host_ip}]:{port}"
    if error.errno == errno.EADDRINUSE:
        return errors.PortAllocated(
            f"Bind for {shown} failed: port is already allocated",
            host_ip=host_ip,
            port=port,
            protocol=protocol,
        )
    reason = (error.strerror or str(error)).lower()
    if error.errno == errno.EMFILE:
        reason = "the engine has as many open files as it may (ulimit -n); a port needs two"
    if error.errno == errno.EPROTONOSUPPORT:
        reason = f"this kernel has no {protocol.upper()} (module {protocol})"
    return errors.InvalidPort(f"cannot listen on {shown}/{protocol}: {reason}")
