"""The doctor's look at the host itself: forwarding, reverse paths, bridges, connections."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from sampan.linux import netlink, sysctl
from sampan.network import forwarding
from sampan.network.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sampan.network.driver import Network

_FULL = 0.9  # of the connection table
_NAMES = {"4": "ip_forward", "6": "IPv6 forwarding"}


def examine(bridges: Sequence[Network]) -> Iterator[Finding]:
    routed = [network for network in bridges if not network.internal]
    for family, subnets in (
        ("4", [network.subnet for network in routed]),
        ("6", [network.subnet6 for network in routed]),
    ):
        if not any(subnets):
            continue
        if forwarding.is_on(family):
            yield Finding(level="ok", about="host", text=f"{_NAMES[family]} is on")
        else:
            yield Finding(
                level="wrong",
                about="host",
                text=f"{_NAMES[family]} is off, so no packet leaves or enters a network: somebody "
                "switched it off after the engine had started; look into /etc/sysctl.d",
            )
    if strict := _strict():
        yield Finding(
            level="note",
            about="host",
            text=f"rp_filter is strict on {', '.join(strict)}: packets that come in there and "
            "whose answers would leave by another interface are dropped (hosts with several "
            "uplinks, VPNs); 2 is less so",
        )
    if sysctl.read("net/bridge/bridge-nf-call-iptables") == "1":
        yield Finding(
            level="note",
            about="host",
            text="br_netfilter is on: other firewalls' forward rules also see packets between "
            "containers on one bridge",
        )
    count, most = (_number(f"net/netfilter/nf_conntrack_{n}") for n in ("count", "max"))
    if most and count > most * _FULL:
        yield Finding(
            level="wrong",
            about="host",
            text=f"the connection table is nearly full ({count} of {most}): new connections will "
            "be dropped; raise net.netfilter.nf_conntrack_max",
        )


def _strict() -> list[str]:
    """The ways out of this host that are; the larger of two settings holds (ip-sysctl)."""
    with netlink.Socket() as sock:
        ways = {route.index for route in sock.routes(socket.AF_INET) if not route.prefix}
        names = [link.name for link in sock.links() if link.index in ways]
    everywhere = _number("net/ipv4/conf/all/rp_filter")
    return [n for n in names if max(everywhere, _number(f"net/ipv4/conf/{n}/rp_filter")) == 1]


def _number(name: str) -> int:
    return int(sysctl.read(name) or 0)
