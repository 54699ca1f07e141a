"""The socket, and what it reads: links, addresses, routes."""

from __future__ import annotations

import os
import socket
import struct

from sampan.kit.record import Record
from sampan.linux import netns as namespaces
from sampan.linux.netlink._wire import (
    ADDRESS,
    AF_BRIDGE,
    BUFFER,
    HEADER,
    IFA_ADDRESS,
    IFA_F_PERMANENT,
    IFA_LOCAL,
    IFF_UP,
    IFLA_ADDRESS,
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_INFO_KIND,
    IFLA_LINKINFO,
    IFLA_MASTER,
    IFLA_MTU,
    LINK,
    NDA_DST,
    NDA_LLADDR,
    NEIGHBOUR,
    NETLINK_CAP_ACK,
    NETLINK_EXT_ACK,
    NETLINK_ROUTE,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    NTF_SELF,
    NUD_PERMANENT,
    ROUTE,
    RT_SCOPE_UNIVERSE,
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETROUTE,
    RTM_NEWLINK,
    SOL_NETLINK,
    Request,
    attributes,
    link_body,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Self


_BATCH = 128  # requests: their answers fit into a socket's buffer (rmem_default) before we read


class Link(Record):
    """A network interface. `kind` is "bridge", "veth", …, "" for hardware; `master` an index."""

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    master: int
    up: bool
    alias: str = ""


class Address(Record):
    """An address on the link with this index."""

    index: int
    address: str
    prefix: int
    permanent: bool = False  # set by hand, of global scope: not by DHCP, not fe80::


class Route(Record):
    """A route of any table; `destination` "0.0.0.0" or "::" and `prefix` 0 for a default route."""

    destination: str
    prefix: int
    gateway: str
    index: int
    table: int


class Neighbour(Record):
    """An entry of the neighbour table, or of a forwarding table: `mac` is behind `address`."""

    index: int
    address: str
    mac: str


class Socket:
    """A netlink socket, in this thread's network namespace or in `netns` (a descriptor)."""

    def __init__(self, protocol: int = NETLINK_ROUTE, *, netns: int | None = None) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        if netns is None:
            self._socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        else:
            with namespaces.entered(netns):
                self._socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        for option in (NETLINK_EXT_ACK, NETLINK_CAP_ACK):
            self._socket.setsockopt(SOL_NETLINK, option, 1)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def send(self, *requests: Request) -> None:
        """Carry out the requests, in order; raises the first failure when all are answered."""
        failure: OSError | None = None
        for at in range(0, len(requests), _BATCH):
            found = self._exchange(requests[at : at + _BATCH])
            failure = failure or found
        if failure:
            raise failure

    def _exchange(self, requests: Sequence[Request]) -> OSError | None:
        """Some requests in one sendmsg(2), and all their answers; the first failure."""
        waiting = {self._sequence + i + 1: r for i, r in enumerate(requests)}
        self._transmit(requests, NLM_F_REQUEST | NLM_F_ACK)
        failure: OSError | None = None
        while waiting:
            for kind, _flags, sequence, body in self._receive():
                request = waiting.pop(sequence, None)
                if request is not None and kind == NLMSG_ERROR:
                    failure = failure or _failure(request, body, _flags)
        return failure

    def dump(self, request: Request) -> Iterator[tuple[int, bytes]]:
        """Every object a GET request answers with, as (message type, body)."""
        self._transmit([request], NLM_F_REQUEST | NLM_F_DUMP)
        while True:
            for kind, _flags, sequence, body in self._receive():
                if sequence != self._sequence:
                    continue
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    raise _failure(request, body, _flags) or OSError("netlink: no dump")
                yield kind, body

    def link(self, name: str) -> Link | None:
        """The link of that name, None where there is none."""
        request = Request(type=RTM_GETLINK, body=link_body(name), what=f"look up {name}")
        self._transmit([request], NLM_F_REQUEST)
        while True:
            for kind, flags, sequence, body in self._receive():
                if sequence != self._sequence:
                    continue
                if kind == RTM_NEWLINK:
                    return _parse_link(body)
                error = _failure(request, body, flags)
                if isinstance(error, OSError) and error.errno == 19:  # ENODEV
                    return None
                raise error or OSError(f"netlink: {request.what}: no answer")

    def links(self) -> list[Link]:
        request = Request(type=RTM_GETLINK, body=LINK.pack(0, 0, 0, 0, 0), what="list links")
        return [_parse_link(body) for _, body in self.dump(request)]

    def addresses(self, family: int = socket.AF_INET) -> list[Address]:
        body = ADDRESS.pack(family, 0, 0, 0, 0)
        request = Request(type=RTM_GETADDR, body=body, what="list addresses")
        found = []
        for _, body in self.dump(request):
            _family, prefix, flags, scope, index = ADDRESS.unpack_from(body)
            values = dict(attributes(body[ADDRESS.size :]))
            address = values.get(IFA_LOCAL) or values[IFA_ADDRESS]
            text = socket.inet_ntop(family, address)
            lasting = bool(flags & IFA_F_PERMANENT) and scope == RT_SCOPE_UNIVERSE
            found.append(Address(index=index, address=text, prefix=prefix, permanent=lasting))
        return found

    def routes(self, family: int = socket.AF_INET) -> list[Route]:
        any_address = bytes(4 if family == socket.AF_INET else 16)
        body = ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        request = Request(type=RTM_GETROUTE, body=body, what="list routes")
        found = []
        for _, body in self.dump(request):
            _family, prefix, _src, _tos, table, *_ = ROUTE.unpack_from(body)
            values = dict(attributes(body[ROUTE.size :]))
            gateway = values.get(RTA_GATEWAY)
            found.append(
                Route(
                    destination=socket.inet_ntop(family, values.get(RTA_DST, any_address)),
                    prefix=prefix,
                    gateway=socket.inet_ntop(family, gateway) if gateway else "",
                    index=int.from_bytes(values.get(RTA_OIF, b""), "little"),
                    table=table,
                )
            )
        return found

    def neighbours(self, family: int, index: int) -> list[Neighbour]:
        """The permanent ones of a link; with AF_BRIDGE its own forwarding entries."""
        body = NEIGHBOUR.pack(family, index, 0, 0, 0)
        request = Request(type=RTM_GETNEIGH, body=body, what="list neighbours")
        found = []
        for _, body in self.dump(request):
            _family, owner, state, flags, _type = NEIGHBOUR.unpack_from(body)
            own = family != AF_BRIDGE or flags & NTF_SELF
            if owner != index or not state & NUD_PERMANENT or not own:
                continue  # kernels before 5.0 list every link's
            values = dict(attributes(body[NEIGHBOUR.size :]))
            packed = values.get(NDA_DST, b"")
            kind = socket.AF_INET6 if len(packed) == 16 else socket.AF_INET
            address = socket.inet_ntop(kind, packed) if packed else ""
            mac = values.get(NDA_LLADDR, b"").hex(":")
            found.append(Neighbour(index=owner, address=address, mac=mac))
        return found

    def _transmit(self, requests: Sequence[Request], flags: int) -> None:
        parts = []
        for request in requests:
            self._sequence += 1
            size = HEADER.size + len(request.body)
            parts.append(
                HEADER.pack(size, request.type, flags | request.flags, self._sequence, 0)
                + request.body
                + bytes(-size % 4)
            )
        self._socket.sendmsg(parts)

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        data = self._socket.recv(BUFFER)
        offset = 0
        while offset + HEADER.size <= len(data):
            size, kind, flags, sequence, _port = HEADER.unpack_from(data, offset)
            yield kind, flags, sequence, data[offset + HEADER.size : offset + size]
            offset += size + -size % 4


def _parse_link(body: bytes) -> Link:
    _family, _kind, index, flags, _change = LINK.unpack_from(body)
    values = dict(attributes(body[LINK.size :]))
    info = dict(attributes(values.get(IFLA_LINKINFO, b"")))
    return Link(
        index=index,
        name=values[IFLA_IFNAME].rstrip(b"\0").decode(),
        kind=info.get(IFLA_INFO_KIND, b"").rstrip(b"\0").decode(),
        mac=values.get(IFLA_ADDRESS, b"").hex(":"),
        mtu=int.from_bytes(values.get(IFLA_MTU, b""), "little"),
        master=int.from_bytes(values.get(IFLA_MASTER, b""), "little"),
        up=bool(flags & IFF_UP),
        alias=values.get(IFLA_IFALIAS, b"").rstrip(b"\0").decode(errors="replace"),
    )


def _failure(request: Request, body: bytes, flags: int) -> OSError | None:
    """What an NLMSG_ERROR says, in the kernel's own words (NLMSGERR_ATTR_MSG) if there are."""
    errno = -struct.unpack_from("=i", body)[0]
    if not errno:
        return None
    words = ""
    if flags & 0x200:  # NLM_F_ACK_TLVS; with NLM_F_CAPPED the echoed request is a bare header
        echoed = HEADER.size if flags & 0x100 else struct.unpack_from("=I", body, 4)[0]
        words = dict(attributes(body[4 + echoed :])).get(1, b"").rstrip(b"\0").decode()
    return OSError(errno, f"netlink: {request.what}: {words or os.strerror(errno)}")
