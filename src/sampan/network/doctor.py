"""What is reachable from where on this host, what stands in the way, and why; nothing is changed.

    for finding in examine(firewall, nft, places): finding.level, finding.about, finding.text

A `wrong` finding names something that keeps a network from doing what it is there for, and the way
out; a `note` what a careful administrator would want to know; `ok` what was looked at and is right.
"""

from __future__ import annotations

import socket
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from sampan.linux import netlink, sysctl
from sampan.linux.nft import Refused
from sampan.network import doctor_host, openings, rules
from sampan.network.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sampan.linux.nft import Nft
    from sampan.network.driver import Network
    from sampan.network.firewall import Firewall
    from sampan.network.rules import Published


def examine(
    firewall: Firewall,
    nft: Nft,
    networks: Sequence[Network],
    published: Sequence[tuple[str, Published]],
) -> list[Finding]:
    """`published` with the names of the containers. Looks at this thread's network namespace."""
    bridges = [network for network in networks if network.bridged]
    found = [*doctor_host.examine(bridges), *_own_table(firewall, bridges)]
    with netlink.Socket() as sock:
        for network in networks:
            found += _network(sock, network)
    found += _foreign(nft, firewall.table, bridges)
    for container, item in published:
        found += _port(firewall, container, item)
    return found


def _own_table(firewall: Firewall, bridges: Sequence[Network]) -> Iterator[Finding]:
    if not bridges:
        return
    if firewall.is_whole():
        yield Finding(level="ok", about="host", text=f"the nft table {firewall.table} is whole")
    else:
        yield Finding(
            level="wrong",
            about="host",
            text=f"the nft table {firewall.table} is gone or has rules missing: somebody flushed "
            "it; the engine puts it back when it hears of that, or at its next start",
        )


def _network(sock: netlink.Socket, network: Network) -> Iterator[Finding]:
    about = f"network {network.name}"
    if network.driver == "cni":
        yield Finding(level="ok", about=about, text=f"made by the plugins of {network.conflist}")
        return
    name = network.bridge or network.parent
    link = sock.link(name) if name else None
    if link is None or not link.up:
        state = "is missing" if link is None else "is down"
        yield Finding(
            level="wrong",
            about=about,
            text=f"its {'bridge' if network.bridge else 'parent interface'} {name} {state}: "
            "nothing on it is reachable",
        )
        return
    wanted = network.subnet6 and not network.hidden
    if wanted and sysctl.read(f"net/ipv6/conf/{link.name}/disable_ipv6") != "0":
        yield Finding(
            level="wrong",
            about=about,
            text=f"IPv6 is switched off on {link.name}, so {network.subnet6} is reachable from "
            f"nowhere: set net.ipv6.conf.{link.name}.disable_ipv6 to 0, or look for ipv6.disable=1 "
            "in /proc/cmdline",
        )
    clashes = list(_clashes(sock, network, link.index))
    yield from (Finding(level="wrong", about=about, text=text) for text in clashes)
    if not clashes:
        yield Finding(level="ok", about=about, text=_reach(network))


def _clashes(sock: netlink.Socket, network: Network, index: int) -> Iterator[str]:
    """Routes that lead a part of the network's addresses elsewhere."""
    for subnet in filter(None, (network.subnet, network.subnet6)):
        own = ip_network(subnet)
        family = socket.AF_INET if own.version == 4 else socket.AF_INET6
        for route in sock.routes(family):
            there = ip_network((route.destination, route.prefix), strict=False)
            if route.index != index and there.prefixlen >= own.prefixlen and there.overlaps(own):
                yield (
                    f"the host's route to {there} leads a part of {subnet} to another interface; "
                    "give the network another --subnet"
                )


def _reach(network: Network) -> str:
    if not network.bridged:
        return f"reachable from the network of {network.parent}, but not from this host itself"
    subnets = " and ".join(filter(None, (network.subnet, network.subnet6)))
    if network.internal:
        return f"{subnets}: internal, reachable from this host and from its own containers only"
    among = "its own containers" if network.icc else "nobody else (icc is off)"
    ways = {network.mode} | ({network.mode6} if network.subnet6 else set())
    outside = "other machines at published ports"
    if "nat-unprotected" in ways:
        outside = "other machines at every port (gateway mode nat-unprotected)"
    return f"{subnets}: reachable from this host and {among}, and from {outside}"


def _foreign(nft: Nft, table: str, bridges: Sequence[Network]) -> Iterator[Finding]:
    """Other firewalls that see what is forwarded: no accept of ours overrules a drop of theirs."""
    names = {network.bridge for network in bridges if not network.internal}
    if not names:
        return
    for chain in _forward_chains(nft):
        where = f"{chain['family']} {chain['table']}"
        if chain["table"] == table:
            continue
        listed = nft.list(f"list table {where}")
        texts = [i["rule"] for i in listed if "rule" in i]
        own = [rule for rule in texts if rule["chain"] == chain["name"]]
        if chain.get("policy") != "drop" and not openings.ends_closed(own):
            continue
        said = f"the chain {chain['name']} of the table {where} lets nothing through"
        missing = [name for name in sorted(names) if not _mentions(texts, name)]
        if missing:
            yield Finding(
                level="wrong",
                about="host",
                text=f"{said} by itself, and has no rule for {', '.join(missing)}: let them "
                "through there (firewalld: put them into the zone trusted)",
            )
        else:
            yield Finding(
                level="note", about="host", text=f"{said} by itself; our bridges are let through"
            )
    yield from _legacy(names)
    if any(c["table"] == "filter" or c["table"] == "firewalld" for c in _input_chains(nft)):
        yield Finding(
            level="note",
            about="host",
            text="published ports are forwarded, not delivered: rules of ufw, firewalld or "
            "iptables for INPUT do not see them. Restrict them by a host address (-p "
            f"127.0.0.1:…) or in the chain {rules.ADMINISTRATOR} of the table inet {table}",
        )


def _legacy(names: set[str]) -> Iterator[Finding]:
    for family, said in openings.legacy_forward().items():
        missing = [name for name in sorted(names) if f" {name} " not in said]
        if "-P FORWARD DROP" in said and missing:
            yield Finding(
                level="wrong",
                about="host",
                text=f"iptables-legacy ({family}) has the policy DROP for FORWARD and no rule for "
                f"{', '.join(missing)}: the engine adds one at its next start",
            )


def _forward_chains(nft: Nft) -> list[dict[str, Any]]:
    return _chains(nft, "forward")


def _input_chains(nft: Nft) -> list[dict[str, Any]]:
    return [c for c in _chains(nft, "input") if c.get("policy") == "drop"]


def _chains(nft: Nft, hook: str) -> list[dict[str, Any]]:
    try:
        listed = nft.list("list chains")
    except Refused:
        return []
    chains = [item["chain"] for item in listed if "chain" in item]
    families = ("ip", "ip6", "inet")
    return [c for c in chains if c.get("hook") == hook and c["family"] in families]


def _mentions(rules_: Sequence[dict[str, Any]], bridge: str) -> bool:
    return any(f'"{bridge}"' in str(rule["expr"]).replace("'", '"') for rule in rules_)


def _port(firewall: Firewall, container: str, item: Published) -> Iterator[Finding]:
    about = f"port {item.host_port}/{item.protocol}"
    to = f"{container}, {item.container_ip}:{item.container_port}"
    if not firewall.stands(item):
        yield Finding(
            level="wrong",
            about=about,
            text=f"its translation to {to} is missing in the nft table {firewall.table}",
        )
        return
    if not item.translate:
        text = f"{to} is reachable there from everywhere, without translation"
    elif item.host_ip in ("", "0.0.0.0", "::"):
        text = f"reachable from everywhere at every address of this host: {to}"
    elif item.host_ip.startswith("127.") or item.host_ip == "::1":
        text = f"reachable from this host alone: {to}"
    else:
        text = f"reachable from wherever {item.host_ip} is: {to}"
    yield Finding(level="ok", about=about, text=text)
