"""What our nft table says, as values: a fixed skeleton of chains, and the elements of its sets.

Rules never change while networks and ports come and go; those are elements of six sets and two
maps, so each is one atomic change whatever else is there.

    bridges   ifname                 every bridge of ours
    internal  ifname                 those without a way out
    same      ifname . ifname        (b, b) for each bridge: traffic that stays on one
    subnets   addresses              masqueraded when they leave by any other interface
    local     addresses . ifname     each subnet with its own bridge, for the hairpin
    published     protocol . port : address . port                 on every address of the host
    published_at  host address . protocol . port : address . port  on one

An element is a pair of tuples of text, key and value (the value empty in a set).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sampan.network.driver import Network

    Element = tuple[tuple[str, ...], tuple[str, ...]]
    Elements = dict[str, set[Element]]

SETS = ("bridges", "internal", "same", "subnets", "local", "published", "published_at")

SKELETON = """\
 set bridges {
  type ifname
 }
 set internal {
  type ifname
 }
 set same {
  type ifname . ifname
 }
 set subnets {
  type ipv4_addr
  flags interval
 }
 set local {
  type ipv4_addr . ifname
  flags interval
 }
 map published {
  type inet_proto . inet_service : ipv4_addr . inet_service
 }
 map published_at {
  type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
 }
 chain guard {
  type filter hook prerouting priority raw; policy accept;
  iifname @bridges ip saddr 127.0.0.0/8 drop
  iifname @bridges ip daddr 127.0.0.0/8 drop
 }
 chain prerouting {
  type nat hook prerouting priority dstnat; policy accept;
  fib daddr type local jump translate
 }
 chain output {
  type nat hook output priority -100; policy accept;
  fib daddr type local jump translate
 }
 chain translate {
  meta l4proto { tcp, udp } dnat ip to ip daddr . meta l4proto . th dport map @published_at
  meta l4proto { tcp, udp } dnat ip to meta l4proto . th dport map @published
 }
 chain postrouting {
  type nat hook postrouting priority srcnat; policy accept;
  ip saddr @subnets oifname != @bridges masquerade
  ct status dnat ip saddr . oifname @local masquerade
  ct status dnat ip saddr 127.0.0.0/8 oifname @bridges masquerade
 }
 chain forward {
  type filter hook forward priority filter; policy accept;
  iifname . oifname @same accept
  iifname @internal drop
  oifname @internal drop
  oifname @bridges ct state established,related accept
  oifname @bridges ct status dnat accept
  oifname @bridges drop
 }
"""
# guard: route_localnet opens the host's loopback services to containers (CVE-2020-8558); a
# packet with such an address never comes from a bridge, because replies carry the bridge's own.

VERSION = "version_" + hashlib.sha256(SKELETON.encode()).hexdigest()[:12]
FORWARDING = "switched_ip_forward_on"


def rule_counts() -> dict[str, int]:
    """Each chain of the skeleton and how many rules it has."""
    counts: dict[str, int] = {}
    chain = ""
    for line in SKELETON.splitlines():
        words = line.split()
        if words[0] == "chain":
            chain = words[1]
            counts[chain] = 0
        elif words[0] == "}":
            chain = ""
        elif chain and words[0] != "type":
            counts[chain] += 1
    return counts


class Published(Record):
    """One translation. `host_ip` "" stands for every address of the host."""

    host_ip: str = ""
    host_port: int
    protocol: str
    container_ip: str
    container_port: int


def network_elements(network: Network) -> Elements:
    bridge, subnet = network.bridge, network.subnet
    found: Elements = {name: set() for name in SETS}
    found["bridges"].add(((bridge,), ()))
    found["same"].add(((bridge, bridge), ()))
    if network.internal:
        found["internal"].add(((bridge,), ()))
        return found
    found["local"].add(((subnet, bridge), ()))
    if network.masquerade:
        found["subnets"].add(((subnet,), ()))
    return found


def published_elements(published: Iterable[Published]) -> Elements:
    """IPv6 host addresses have no element: the socket's holder relays those."""
    found: Elements = {name: set() for name in SETS}
    for p in published:
        value = (p.container_ip, str(p.container_port))
        port = (p.protocol, str(p.host_port))
        if p.host_ip in ("", "0.0.0.0"):
            found["published"].add((port, value))
        elif ":" not in p.host_ip:
            found["published_at"].add(((p.host_ip, *port), value))
    return found


def union(*parts: Mapping[str, set[Element]]) -> Elements:
    return {name: set().union(*(part[name] for part in parts)) for name in SETS}


def table(name: str, elements: Mapping[str, set[Element]], *, forwarding: bool) -> str:
    """Commands that put the whole table in place of whatever stands there, atomically."""
    marks = f" chain {VERSION} {{\n }}\n" + f" chain {FORWARDING} {{\n }}\n" * forwarding
    head = f"table ip {name} {{\n}}\ndelete table ip {name}\n"
    return head + f"table ip {name} {{\n{SKELETON}{marks}}}\n" + changes(name, {}, elements)


def changes(name: str, have: Mapping[str, set[Element]], want: Mapping[str, set[Element]]) -> str:
    """Commands that turn the elements `have` into `want`; empty where they agree."""
    lines = []
    for kind in SETS:
        old, new = have.get(kind, set()), want.get(kind, set())
        if old - new:
            keys = ", ".join(_text(kind, key) for key, _ in sorted(old - new))
            lines.append(f"delete element ip {name} {kind} {{ {keys} }}\n")
        if new - old:
            items = ", ".join(_item(kind, element) for element in sorted(new - old))
            lines.append(f"add element ip {name} {kind} {{ {items} }}\n")
    return "".join(lines)


def get(name: str, kind: str, element: Element) -> str:
    """The command that asks for one element by its key."""
    return f"get element ip {name} {kind} {{ {_text(kind, element[0])} }}"


def shows(text: str, kind: str, element: Element) -> bool:
    """Whether that command's answer has this very element (1.0.6 has no JSON for it)."""
    return f"{{ {_item(kind, element)} }}" in " ".join(text.split())


def parse_elements(listed: Iterable[dict[str, Any]]) -> Elements:
    """The elements in what `list table` answered as JSON."""
    found: Elements = {name: set() for name in SETS}
    for item in listed:
        body = item.get("set") or item.get("map")
        if body is None or body["name"] not in found:
            continue
        for element in body.get("elem", ()):
            key, value = element if "map" in body else (element, None)
            found[body["name"]].add((_atoms(key), _atoms(value)))
    return found


def _atoms(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = value["concat"] if isinstance(value, dict) and "concat" in value else [value]
    return tuple(_atom(part) for part in parts)


def _atom(value: Any) -> str:
    if isinstance(value, dict) and "prefix" in value:
        return f"{value['prefix']['addr']}/{value['prefix']['len']}"
    if isinstance(value, dict) and "elem" in value:
        return _atom(value["elem"]["val"])
    return str(value)


def _item(kind: str, element: Element) -> str:
    key, value = element
    return _text(kind, key) + (f" : {' . '.join(value)}" if value else "")


def _text(kind: str, key: tuple[str, ...]) -> str:
    named = {"bridges": 0, "internal": 0, "same": 0, "local": 1}.get(kind, len(key))
    return " . ".join(f'"{atom}"' if i >= named else atom for i, atom in enumerate(key))
