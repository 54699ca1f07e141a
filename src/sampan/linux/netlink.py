"""rtnetlink(7): links, addresses, routes and neighbours in as few system calls as possible.

A change is a `Request` value, made by the functions below; a `Socket` sends any number of them in
one sendmsg(2) and reads the acknowledgements, matched by sequence number. The first that failed
is raised as OSError naming the request and its object; the others of the batch were tried too
(the kernel goes on), so put into one batch what may be undone together.

    with Socket() as host:
        host.send(add_bridge("br0"), set_link("br0", up=True))
        bridge = host.link("br0")
    with Socket(netns=fd) as inside:              # made in that namespace, whoever uses it
        inside.send(set_link("lo", up=True))

Addresses are text ("10.0.0.1"), hardware addresses "02:42:…", prefixes numbers of bits.
"""

from __future__ import annotations

import os
import socket
import struct

from sampan.kit.record import Record
from sampan.linux import netns as namespaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Self

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = (
    1,
    4,
    0x300,
    0x100,
    0x200,
    0x400,
)
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH = 28
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER = 1, 3, 4, 10
IFLA_LINKINFO, IFLA_AF_SPEC, IFLA_NET_NS_FD = 18, 26, 28
IFLA_INET6_ADDR_GEN_MODE = 8
IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 4, 5
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED = 4, 33
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
NDA_DST, NDA_LLADDR = 1, 2
NUD_PERMANENT = 0x80
IFF_UP = 1
NLA_F_NESTED = 0x8000
SOL_NETLINK, NETLINK_EXT_ACK, NETLINK_CAP_ACK = 270, 11, 10

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr
_LINK = struct.Struct("=BxHiII")  # struct ifinfomsg
_ADDRESS = struct.Struct("=BBBBI")  # struct ifaddrmsg
_ROUTE = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # struct ndmsg
_BUFFER = 1 << 16


class Request(Record):
    """One message: its type and flags, its body after the header, and words for an error."""

    type: int
    flags: int = 0
    body: bytes
    what: str


class Link(Record):
    """A network interface. `kind` is "bridge", "veth", …, "" for hardware; `master` an index."""

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    master: int
    up: bool


class Address(Record):
    """An IPv4 address on the link with this index."""

    index: int
    address: str
    prefix: int


class Route(Record):
    """An IPv4 route of any table; `destination` "0.0.0.0" and `prefix` 0 for the default route."""

    destination: str
    prefix: int
    gateway: str
    index: int
    table: int


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
        waiting = {self._sequence + i + 1: r for i, r in enumerate(requests)}
        self._transmit(requests, NLM_F_REQUEST | NLM_F_ACK)
        failure: OSError | None = None
        while waiting:
            for kind, _flags, sequence, body in self._receive():
                request = waiting.pop(sequence, None)
                if request is not None and kind == NLMSG_ERROR:
                    failure = failure or _failure(request, body, _flags)
        if failure:
            raise failure

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
        request = Request(type=RTM_GETLINK, body=_link(name), what=f"look up {name}")
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
        request = Request(type=RTM_GETLINK, body=_LINK.pack(0, 0, 0, 0, 0), what="list links")
        return [_parse_link(body) for _, body in self.dump(request)]

    def addresses(self) -> list[Address]:
        family = socket.AF_INET
        body = _ADDRESS.pack(family, 0, 0, 0, 0)
        request = Request(type=RTM_GETADDR, body=body, what="list addresses")
        found = []
        for _, body in self.dump(request):
            _family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(body)
            values = dict(_attributes(body[_ADDRESS.size :]))
            address = values.get(IFA_LOCAL) or values[IFA_ADDRESS]
            text = socket.inet_ntoa(address)
            found.append(Address(index=index, address=text, prefix=prefix))
        return found

    def routes(self) -> list[Route]:
        body = _ROUTE.pack(socket.AF_INET, 0, 0, 0, 0, 0, 0, 0, 0)
        request = Request(type=RTM_GETROUTE, body=body, what="list routes")
        found = []
        for _, body in self.dump(request):
            _family, prefix, _src, _tos, table, *_ = _ROUTE.unpack_from(body)
            values = dict(_attributes(body[_ROUTE.size :]))
            gateway = values.get(RTA_GATEWAY)
            found.append(
                Route(
                    destination=socket.inet_ntoa(values.get(RTA_DST, bytes(4))),
                    prefix=prefix,
                    gateway=socket.inet_ntoa(gateway) if gateway else "",
                    index=int.from_bytes(values.get(RTA_OIF, b""), "little"),
                    table=table,
                )
            )
        return found

    def _transmit(self, requests: Iterable[Request], flags: int) -> None:
        parts = []
        for request in requests:
            self._sequence += 1
            size = _HEADER.size + len(request.body)
            parts.append(
                _HEADER.pack(size, request.type, flags | request.flags, self._sequence, 0)
                + request.body
                + bytes(-size % 4)
            )
        self._socket.sendmsg(parts)

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        data = self._socket.recv(_BUFFER)
        offset = 0
        while offset + _HEADER.size <= len(data):
            size, kind, flags, sequence, _port = _HEADER.unpack_from(data, offset)
            yield kind, flags, sequence, data[offset + _HEADER.size : offset + size]
            offset += size + -size % 4


def add_bridge(name: str, *, mac: str | None = None, mtu: int = 0) -> Request:
    """A bridge, up at once. A fixed `mac` keeps it from changing with the first port."""
    info = attribute(IFLA_INFO_KIND, b"bridge\0")
    body = _link(name, mac=mac, mtu=mtu, up=True) + nested(IFLA_LINKINFO, info)
    return Request(type=RTM_NEWLINK, flags=_CREATE, body=body, what=f"add bridge {name}")


def add_veth(
    name: str, *, peer: str, peer_netns: int, peer_mac: str, master: int = 0, mtu: int = 0
) -> Request:
    """A veth pair: `name` here, up, a port of `master`; the peer in another namespace, down.

    One message does what ip(8) needs four for: the kernel configures both ends while it makes
    them. The peer cannot come up there: veth_open wants both ends, and answers ENOTCONN.
    The pair goes when either namespace goes.
    """
    inner = _link(peer, mac=peer_mac, mtu=mtu)
    inner += attribute(IFLA_NET_NS_FD, struct.pack("=I", peer_netns))
    info = attribute(IFLA_INFO_KIND, b"veth\0")
    info += nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, inner))
    body = _link(name, mtu=mtu, master=master, up=True) + nested(IFLA_LINKINFO, info)
    what = f"add veth {name} with peer {peer}"
    return Request(type=RTM_NEWLINK, flags=_CREATE, body=body, what=what)


def set_link(
    name: str,
    *,
    index: int = 0,
    up: bool | None = None,
    mtu: int = 0,
    mac: str | None = None,
    master: int | None = None,
    rename: str | None = None,
) -> Request:
    """Change a link. With `index` it is found by that and `rename` may give it a new name."""
    body = _link(rename or name, index=index, mac=mac, mtu=mtu, master=master, up=up)
    return Request(type=RTM_NEWLINK, body=body, what=f"change link {name}")


def no_link_local(name: str, *, index: int = 0) -> Request:
    """No fe80:: address for a link that is about to come up (and so no duplicate detection).

    EAFNOSUPPORT where the kernel has no IPv6.
    """
    mode = attribute(IFLA_INET6_ADDR_GEN_MODE, bytes([1]))  # IN6_ADDR_GEN_MODE_NONE
    body = _link(name, index=index) + nested(IFLA_AF_SPEC, nested(socket.AF_INET6, mode))
    return Request(type=RTM_NEWLINK, body=body, what=f"switch off link-local addresses of {name}")


def set_port(name: str, *, hairpin: bool = False, isolated: bool = False) -> Request:
    """A bridge port's flags: may frames go back out of it; is it cut off from isolated others."""
    flags = attribute(IFLA_BRPORT_MODE, bytes([hairpin]))
    flags += attribute(IFLA_BRPORT_ISOLATED, bytes([isolated]))
    info = attribute(IFLA_INFO_SLAVE_KIND, b"bridge\0") + nested(IFLA_INFO_SLAVE_DATA, flags)
    body = _link(name) + nested(IFLA_LINKINFO, info)
    return Request(type=RTM_NEWLINK, body=body, what=f"change bridge port {name}")


def del_link(name: str) -> Request:
    return Request(type=RTM_DELLINK, body=_link(name), what=f"delete link {name}")


def add_address(index: int, address: str, prefix: int) -> Request:
    packed = socket.inet_aton(address)
    mask = (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF
    broadcast = struct.pack(">I", struct.unpack(">I", packed)[0] | ~mask & 0xFFFFFFFF)
    body = _ADDRESS.pack(socket.AF_INET, prefix, 0, 0, index)
    body += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    body += attribute(IFA_BROADCAST, broadcast)
    what = f"add address {address}/{prefix}"
    return Request(type=RTM_NEWADDR, flags=_CREATE, body=body, what=what)


def del_address(index: int, address: str, prefix: int) -> Request:
    body = _ADDRESS.pack(socket.AF_INET, prefix, 0, 0, index)
    body += attribute(IFA_LOCAL, socket.inet_aton(address))
    return Request(type=RTM_DELADDR, body=body, what=f"delete address {address}/{prefix}")


def add_route(
    destination: str, prefix: int, *, gateway: str | None = None, index: int = 0
) -> Request:
    """A route of the main table; `add_route("0.0.0.0", 0, gateway=…)` is the default one."""
    scope = 0 if gateway else 253  # RT_SCOPE_UNIVERSE, RT_SCOPE_LINK
    body = _ROUTE.pack(socket.AF_INET, prefix, 0, 0, 254, 3, scope, 1, 0)
    body += attribute(RTA_DST, socket.inet_aton(destination)) if prefix else b""
    body += attribute(RTA_GATEWAY, socket.inet_aton(gateway)) if gateway else b""
    body += attribute(RTA_OIF, struct.pack("=I", index)) if index else b""
    what = f"add route {destination}/{prefix}" + (f" via {gateway}" if gateway else "")
    return Request(type=RTM_NEWROUTE, flags=_CREATE, body=body, what=what)


def add_neighbour(index: int, address: str, mac: str) -> Request:
    """A permanent ARP entry."""
    body = _NEIGHBOUR.pack(socket.AF_INET, index, NUD_PERMANENT, 0, 0)
    body += attribute(NDA_DST, socket.inet_aton(address)) + attribute(NDA_LLADDR, _mac(mac))
    flags = NLM_F_CREATE | NLM_F_REPLACE
    what = f"add neighbour {address} {mac}"
    return Request(type=RTM_NEWNEIGH, flags=flags, body=body, what=what)


_CREATE = NLM_F_CREATE | NLM_F_EXCL


def _link(
    name: str,
    *,
    index: int = 0,
    mac: str | None = None,
    mtu: int = 0,
    master: int | None = None,
    up: bool | None = None,
) -> bytes:
    """struct ifinfomsg and the attributes that every kind of link has."""
    body = _LINK.pack(0, 0, index, IFF_UP if up else 0, 0 if up is None else IFF_UP)
    body += attribute(IFLA_IFNAME, name.encode() + b"\0")
    body += attribute(IFLA_ADDRESS, _mac(mac)) if mac else b""
    body += attribute(IFLA_MTU, struct.pack("=I", mtu)) if mtu else b""
    body += attribute(IFLA_MASTER, struct.pack("=I", master)) if master is not None else b""
    return body


def attribute(kind: int, value: bytes) -> bytes:
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)


def nested(kind: int, value: bytes) -> bytes:
    return attribute(kind | NLA_F_NESTED, value)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, offset)
        if size < _ATTRIBUTE.size:
            return
        yield kind & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + size]
        offset += size + -size % 4


def _parse_link(body: bytes) -> Link:
    _family, _kind, index, flags, _change = _LINK.unpack_from(body)
    values = dict(_attributes(body[_LINK.size :]))
    info = dict(_attributes(values.get(IFLA_LINKINFO, b"")))
    return Link(
        index=index,
        name=values[IFLA_IFNAME].rstrip(b"\0").decode(),
        kind=info.get(IFLA_INFO_KIND, b"").rstrip(b"\0").decode(),
        mac=values.get(IFLA_ADDRESS, b"").hex(":"),
        mtu=int.from_bytes(values.get(IFLA_MTU, b""), "little"),
        master=int.from_bytes(values.get(IFLA_MASTER, b""), "little"),
        up=bool(flags & IFF_UP),
    )


def _failure(request: Request, body: bytes, flags: int) -> OSError | None:
    """What an NLMSG_ERROR says, in the kernel's own words (NLMSGERR_ATTR_MSG) if there are."""
    errno = -struct.unpack_from("=i", body)[0]
    if not errno:
        return None
    words = ""
    if flags & 0x200:  # NLM_F_ACK_TLVS; with NLM_F_CAPPED the echoed request is a bare header
        echoed = _HEADER.size if flags & 0x100 else struct.unpack_from("=I", body, 4)[0]
        words = dict(_attributes(body[4 + echoed :])).get(1, b"").rstrip(b"\0").decode()
    return OSError(errno, f"netlink: {request.what}: {words or os.strerror(errno)}")


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
