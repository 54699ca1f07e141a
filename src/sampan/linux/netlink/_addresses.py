"""Requests about addresses, routes, neighbours and forwarding entries."""

from __future__ import annotations

import socket
import struct

from sampan.linux.netlink._wire import (
    ADDRESS,
    AF_BRIDGE,
    CREATE,
    IFA_ADDRESS,
    IFA_BROADCAST,
    IFA_F_NODAD,
    IFA_LOCAL,
    NDA_DST,
    NDA_LLADDR,
    NEIGHBOUR,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_REPLACE,
    NTF_SELF,
    NUD_NOARP,
    NUD_PERMANENT,
    ROUTE,
    RT_SCOPE_LINK,
    RT_SCOPE_NOWHERE,
    RT_TABLE_MAIN,
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTM_DELADDR,
    RTM_DELNEIGH,
    RTM_DELROUTE,
    RTM_NEWADDR,
    RTM_NEWNEIGH,
    RTM_NEWROUTE,
    RTN_UNICAST,
    RTPROT_BOOT,
    Request,
    address_bytes,
    attribute,
    mac_bytes,
)


def add_address(index: int, address: str, prefix: int) -> Request:
    """An IPv6 address is usable at once: no duplicate address detection (RFC 4862, 5.4)."""
    family, packed = address_bytes(address)
    flags = 0 if family == socket.AF_INET else IFA_F_NODAD
    body = ADDRESS.pack(family, prefix, flags, 0, index)
    body += attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed)
    if family == socket.AF_INET:
        mask = (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF
        broadcast = struct.pack(">I", struct.unpack(">I", packed)[0] | ~mask & 0xFFFFFFFF)
        body += attribute(IFA_BROADCAST, broadcast)
    what = f"add address {address}/{prefix}"
    return Request(type=RTM_NEWADDR, flags=CREATE, body=body, what=what)


def del_address(index: int, address: str, prefix: int) -> Request:
    family, packed = address_bytes(address)
    body = ADDRESS.pack(family, prefix, 0, 0, index) + attribute(IFA_LOCAL, packed)
    return Request(type=RTM_DELADDR, body=body, what=f"delete address {address}/{prefix}")


def add_route(
    destination: str, prefix: int, *, gateway: str | None = None, index: int = 0
) -> Request:
    """A route of the main table; `add_route("0.0.0.0", 0, gateway=…)` is the default one."""
    return _route(RTM_NEWROUTE, "add", destination, prefix, gateway, index)


def replace_route(
    destination: str, prefix: int, *, gateway: str | None = None, index: int = 0
) -> Request:
    """The same in place of a route with that destination, if there is one."""
    return _route(RTM_NEWROUTE, "replace", destination, prefix, gateway, index)


def del_route(destination: str, prefix: int) -> Request:
    """ESRCH where there is none."""
    return _route(RTM_DELROUTE, "delete", destination, prefix, None, 0)


def _route(
    kind: int, word: str, destination: str, prefix: int, gateway: str | None, index: int
) -> Request:
    family, packed = address_bytes(destination)
    scope = 0 if gateway or family == socket.AF_INET6 else RT_SCOPE_LINK
    if word == "delete":
        scope = RT_SCOPE_NOWHERE  # of any scope
    body = ROUTE.pack(family, prefix, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, 0)
    body += attribute(RTA_DST, packed) if prefix else b""
    body += attribute(RTA_GATEWAY, address_bytes(gateway)[1]) if gateway else b""
    body += attribute(RTA_OIF, struct.pack("=I", index)) if index else b""
    flags = {"add": CREATE, "replace": NLM_F_CREATE | NLM_F_REPLACE, "delete": 0}[word]
    what = f"{word} route {destination}/{prefix}" + (f" via {gateway}" if gateway else "")
    return Request(type=kind, flags=flags, body=body, what=what)


def add_neighbour(index: int, address: str, mac: str) -> Request:
    """A permanent entry of the neighbour table: ARP's, or IPv6's."""
    family, packed = address_bytes(address)
    body = NEIGHBOUR.pack(family, index, NUD_PERMANENT, 0, 0)
    body += attribute(NDA_DST, packed) + attribute(NDA_LLADDR, mac_bytes(mac))
    flags = NLM_F_CREATE | NLM_F_REPLACE
    what = f"add neighbour {address} {mac}"
    return Request(type=RTM_NEWNEIGH, flags=flags, body=body, what=what)


def del_neighbour(index: int, address: str) -> Request:
    family, packed = address_bytes(address)
    body = NEIGHBOUR.pack(family, index, 0, 0, 0) + attribute(NDA_DST, packed)
    return Request(type=RTM_DELNEIGH, body=body, what=f"delete neighbour {address}")


def add_forwarding(index: int, mac: str, remote: str = "") -> Request:
    """A bridge's or vxlan's forwarding entry: this MAC lives behind that remote host.

    MAC 00:00:00:00:00:00 of a vxlan: where broadcasts go too (several are allowed).
    """
    return _forwarding(RTM_NEWNEIGH, "add", index, mac, remote)


def del_forwarding(index: int, mac: str, remote: str = "") -> Request:
    return _forwarding(RTM_DELNEIGH, "delete", index, mac, remote)


def _forwarding(kind: int, word: str, index: int, mac: str, remote: str) -> Request:
    state = NUD_NOARP | NUD_PERMANENT
    body = NEIGHBOUR.pack(AF_BRIDGE, index, state, NTF_SELF, 0)
    body += attribute(NDA_LLADDR, mac_bytes(mac))
    body += attribute(NDA_DST, address_bytes(remote)[1]) if remote else b""
    several = not mac_bytes(mac).strip(b"\0")
    flags = NLM_F_CREATE | (NLM_F_APPEND if several else NLM_F_REPLACE)
    what = f"{word} forwarding entry {mac} at {remote}"
    return Request(type=kind, flags=flags if word == "add" else 0, body=body, what=what)
