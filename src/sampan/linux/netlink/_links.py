"""Requests that make and change links."""

from __future__ import annotations

import socket
import struct

from sampan.linux.netlink._wire import (
    CREATE,
    IFLA_AF_SPEC,
    IFLA_BRPORT_ISOLATED,
    IFLA_BRPORT_MODE,
    IFLA_IFALIAS,
    IFLA_INET6_ADDR_GEN_MODE,
    IFLA_INFO_DATA,
    IFLA_INFO_KIND,
    IFLA_INFO_SLAVE_DATA,
    IFLA_INFO_SLAVE_KIND,
    IFLA_IPVLAN_MODE,
    IFLA_LINK,
    IFLA_LINKINFO,
    IFLA_MACVLAN_MODE,
    IFLA_NET_NS_FD,
    IFLA_VLAN_ID,
    IFLA_VXLAN_ID,
    IFLA_VXLAN_LEARNING,
    IFLA_VXLAN_LOCAL,
    IFLA_VXLAN_LOCAL6,
    IFLA_VXLAN_PORT,
    IFLA_VXLAN_PROXY,
    RTM_DELLINK,
    RTM_NEWLINK,
    VETH_INFO_PEER,
    Request,
    address_bytes,
    attribute,
    link_body,
    nested,
)


def add_bridge(name: str, *, mac: str | None = None, mtu: int = 0) -> Request:
    """A bridge, up at once. A fixed `mac` keeps it from changing with the first port."""
    info = attribute(IFLA_INFO_KIND, b"bridge\0")
    body = link_body(name, mac=mac, mtu=mtu, up=True) + nested(IFLA_LINKINFO, info)
    return Request(type=RTM_NEWLINK, flags=CREATE, body=body, what=f"add bridge {name}")


def add_veth(
    name: str, *, peer: str, peer_netns: int, peer_mac: str, master: int = 0, mtu: int = 0
) -> Request:
    """A veth pair: `name` here, up, a port of `master`; the peer in another namespace, down.

    One message does what ip(8) needs four for: the kernel configures both ends while it makes
    them. The peer cannot come up there: veth_open wants both ends, and answers ENOTCONN.
    The pair goes when either namespace goes.
    """
    inner = link_body(peer, mac=peer_mac, mtu=mtu)
    inner += attribute(IFLA_NET_NS_FD, struct.pack("=I", peer_netns))
    info = attribute(IFLA_INFO_KIND, b"veth\0")
    info += nested(IFLA_INFO_DATA, nested(VETH_INFO_PEER, inner))
    body = link_body(name, mtu=mtu, master=master, up=True) + nested(IFLA_LINKINFO, info)
    what = f"add veth {name} with peer {peer}"
    return Request(type=RTM_NEWLINK, flags=CREATE, body=body, what=what)


MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}


def add_macvlan(
    name: str, *, parent: int, mode: str, netns: int, mac: str, mtu: int = 0
) -> Request:
    """A macvlan of the link with index `parent`, made in that namespace, down."""
    data = attribute(IFLA_MACVLAN_MODE, struct.pack("=I", MACVLAN_MODES[mode]))
    return _sub_link("macvlan", name, data, parent=parent, netns=netns, mac=mac, mtu=mtu)


def add_ipvlan(name: str, *, parent: int, mode: str, netns: int, mtu: int = 0) -> Request:
    """An ipvlan, which shares its parent's MAC."""
    data = attribute(IFLA_IPVLAN_MODE, struct.pack("=H", IPVLAN_MODES[mode]))
    return _sub_link("ipvlan", name, data, parent=parent, netns=netns, mtu=mtu)


def add_vlan(name: str, *, parent: int, number: int) -> Request:
    """An 802.1Q sub-interface, up."""
    data = attribute(IFLA_VLAN_ID, struct.pack("=H", number))
    return _sub_link("vlan", name, data, parent=parent, up=True)


def add_vxlan(
    name: str,
    *,
    number: int,
    local: str,
    port: int,
    told: bool = False,
    netns: int = -1,
    mtu: int = 0,
) -> Request:
    """A VXLAN end point with network identifier `number`, down; it learns who is where.

    One that is `told` does not learn, and answers for its neighbours (ARP, IPv6's solicitations)
    from what it was told instead of asking over there.
    """
    family, packed = address_bytes(local)
    data = attribute(IFLA_VXLAN_ID, struct.pack("=I", number))
    data += attribute(IFLA_VXLAN_LOCAL if family == socket.AF_INET else IFLA_VXLAN_LOCAL6, packed)
    data += attribute(IFLA_VXLAN_PORT, struct.pack(">H", port))
    data += attribute(IFLA_VXLAN_LEARNING, bytes([not told]))
    data += attribute(IFLA_VXLAN_PROXY, bytes([told]))
    return _sub_link("vxlan", name, data, netns=netns, mtu=mtu)


def _sub_link(
    kind: str,
    name: str,
    data: bytes,
    *,
    parent: int = 0,
    netns: int = -1,
    mac: str | None = None,
    mtu: int = 0,
    up: bool | None = None,
) -> Request:
    """EOPNOTSUPP where the kernel has no such kind."""
    info = attribute(IFLA_INFO_KIND, kind.encode() + b"\0") + nested(IFLA_INFO_DATA, data)
    body = link_body(name, mac=mac, mtu=mtu, up=up)
    body += attribute(IFLA_LINK, struct.pack("=I", parent)) if parent else b""
    body += attribute(IFLA_NET_NS_FD, struct.pack("=I", netns)) if netns >= 0 else b""
    body += nested(IFLA_LINKINFO, info)
    return Request(type=RTM_NEWLINK, flags=CREATE, body=body, what=f"add {kind} {name}")


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
    body = link_body(rename or name, index=index, mac=mac, mtu=mtu, master=master, up=up)
    return Request(type=RTM_NEWLINK, body=body, what=f"change link {name}")


def move_link(name: str, *, index: int, netns: int, rename: str) -> Request:
    """Into the network namespace behind the descriptor, under another name."""
    body = link_body(rename, index=index) + attribute(IFLA_NET_NS_FD, struct.pack("=I", netns))
    return Request(type=RTM_NEWLINK, body=body, what=f"move link {name}")


def no_link_local(name: str, *, index: int = 0) -> Request:
    """No fe80:: address for a link that is about to come up (and so no duplicate detection).

    EAFNOSUPPORT where the kernel has no IPv6.
    """
    mode = attribute(IFLA_INET6_ADDR_GEN_MODE, bytes([1]))  # IN6_ADDR_GEN_MODE_NONE
    body = link_body(name, index=index) + nested(IFLA_AF_SPEC, nested(socket.AF_INET6, mode))
    return Request(type=RTM_NEWLINK, body=body, what=f"switch off link-local addresses of {name}")


def set_port(name: str, *, hairpin: bool = False, isolated: bool = False) -> Request:
    """A bridge port's flags: may frames go back out of it; is it cut off from isolated others."""
    flags = attribute(IFLA_BRPORT_MODE, bytes([hairpin]))
    flags += attribute(IFLA_BRPORT_ISOLATED, bytes([isolated]))
    info = attribute(IFLA_INFO_SLAVE_KIND, b"bridge\0") + nested(IFLA_INFO_SLAVE_DATA, flags)
    body = link_body(name) + nested(IFLA_LINKINFO, info)
    return Request(type=RTM_NEWLINK, body=body, what=f"change bridge port {name}")


def set_alias(name: str, alias: str) -> Request:
    """Words that the kernel keeps with the link (`ip link` shows them)."""
    body = link_body(name) + attribute(IFLA_IFALIAS, alias.encode())
    return Request(type=RTM_NEWLINK, body=body, what=f"give link {name} an alias")


def del_link(name: str) -> Request:
    return Request(type=RTM_DELLINK, body=link_body(name), what=f"delete link {name}")
