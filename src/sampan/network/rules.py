"""What our nft table says, as values: a fixed skeleton of chains, and the elements of its sets.

Rules never change while networks and ports come and go; those are elements of sets and maps, so
each is one atomic change whatever else is there.

    bridges   ifname                 every bridge of ours
    internal  ifname                 those without a way out
    same      ifname . ifname        (b, b) for each bridge: traffic that stays on one
    open      ifname                 reached from outside on every port (nat-unprotected)
    subnets   addresses              masqueraded when they leave by any other interface
    local     addresses . ifname     each subnet with its own bridge, for the hairpin
    published     protocol . port : address . port                 on every address of the host
    published_at  host address . protocol . port : address . port  on one
    reachable     address . protocol . port                        without translation (mode routed)

The last five are there twice, as `subnets6` … for IPv6. The chain `administrator` is
empty and stays as it is found: whoever runs the host may add rules to it, which are asked first.

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

_FAMILIES = {"": ("ip", "ipv4_addr"), "6": ("ip6", "ipv6_addr")}
_BY_FAMILY = ("subnets", "local", "published", "published_at", "reachable")
SETS = ("bridges", "internal", "same", "open", *(n + f for f in _FAMILIES for n in _BY_FAMILY))
ADMINISTRATOR = "administrator"

_INTERFACES = """\
 set bridges {
  type ifname
 }
 set internal {
  type ifname
 }
 set same {
  type ifname . ifname
 }
 set open {
  type ifname
 }
"""
_ADDRESSES = """\
 set subnets{suffix} {{
  type {type}
  flags interval
 }}
 set local{suffix} {{
  type {type} . ifname
  flags interval
 }}
 map published{suffix} {{
  type inet_proto . inet_service : {type} . inet_service
 }}
 map published_at{suffix} {{
  type {type} . inet_proto . inet_service : {type} . inet_service
 }}
 set reachable{suffix} {{
  type {type} . inet_proto . inet_service
 }}
"""
_CHAINS = """\
 chain administrator {
 }
 chain guard {
  type filter hook prerouting priority raw; policy accept;
  iifname @bridges ip saddr 127.0.0.0/8 drop
  iifname @bridges ip daddr 127.0.0.0/8 drop
  iifname @bridges ip6 saddr ::1 drop
  iifname @bridges ip6 daddr ::1 drop
 }
 chain prerouting {
  type nat hook prerouting priority dstnat; policy accept;
  fib daddr type local jump translate
 }
 chain output {
  type nat hook output priority -100; policy accept;
  ip6 daddr ::1 return
  fib daddr type local jump translate
 }
 chain translate {
  meta l4proto { tcp, udp, sctp } dnat ip to ip daddr . meta l4proto . th dport map @published_at
  meta l4proto { tcp, udp, sctp } dnat ip to meta l4proto . th dport map @published
  meta l4proto { tcp, udp, sctp } dnat ip6 to ip6 daddr . meta l4proto . th dport map @published_at6
  meta l4proto { tcp, udp, sctp } dnat ip6 to meta l4proto . th dport map @published6
 }
 chain postrouting {
  type nat hook postrouting priority srcnat; policy accept;
  ip saddr @subnets oifname != @bridges masquerade
  ip6 saddr @subnets6 oifname != @bridges masquerade
  ct status dnat ip saddr . oifname @local masquerade
  ct status dnat ip6 saddr . oifname @local6 masquerade
  ct status dnat ip saddr 127.0.0.0/8 oifname @bridges masquerade
 }
 chain forward {
  type filter hook forward priority filter; policy accept;
  jump administrator
  iifname . oifname @same accept
  iifname @internal drop
  oifname @internal drop
  oifname @bridges ct state established,related accept
  oifname @bridges ct status dnat accept
  oifname @open accept
  ip daddr . meta l4proto . th dport @reachable accept
  ip6 daddr . meta l4proto . th dport @reachable6 accept
  oifname @bridges drop
 }
"""
# output: the kernel routes nothing from ::1 to another link, so there the monitor relays.
# guard: route_localnet opens the host's loopback services to containers (CVE-2020-8558); a
# packet with such an address never comes from a bridge, because replies carry the bridge's own.

SKELETON = (
    _INTERFACES
    + "".join(_ADDRESSES.format(suffix=s, type=t) for s, (_, t) in _FAMILIES.items())
    + _CHAINS
)
VERSION = "version_" + hashlib.sha256(SKELETON.encode()).hexdigest()[:12]
FORWARDING = {"4": "switched_ip_forward_on", "6": "switched_ipv6_forwarding_on"}


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
    """One translation. `host_ip` "" stands for every address of the host; "0.0.0.0" and "::" for
    every one of a family. Without `translate` the container is reached at its own address."""

    host_ip: str = ""
    host_port: int
    protocol: str
    container_ip: str
    container_port: int
    translate: bool = True


def family(address: str) -> str:
    """The suffix of the sets that addresses like this one stand in."""
    return "6" if ":" in address else ""


def network_elements(network: Network) -> Elements:
    bridge = network.bridge
    found: Elements = {name: set() for name in SETS}
    found["bridges"].add(((bridge,), ()))
    found["same"].add(((bridge, bridge), ()))
    if network.internal:
        found["internal"].add(((bridge,), ()))
        return found
    if "nat-unprotected" in (network.mode, network.mode6):
        found["open"].add(((bridge,), ()))
    for subnet, mode in ((network.subnet, network.mode), (network.subnet6, network.mode6)):
        if subnet and mode != "routed":
            found["local" + family(subnet)].add(((subnet, bridge), ()))
            if network.masquerade:
                found["subnets" + family(subnet)].add(((subnet,), ()))
    return found


def published_elements(published: Iterable[Published]) -> Elements:
    """A host address of the other family has no element: the socket's holder relays those."""
    found: Elements = {name: set() for name in SETS}
    for p in published:
        suffix = family(p.container_ip)
        value = (p.container_ip, str(p.container_port))
        port = (p.protocol, str(p.host_port))
        if not p.translate:
            key = (p.container_ip, p.protocol, str(p.container_port))
            found["reachable" + suffix].add((key, ()))
        elif p.host_ip in ("", "::" if suffix else "0.0.0.0"):
            found["published" + suffix].add((port, value))
        elif family(p.host_ip) == suffix and p.host_ip not in ("0.0.0.0", "::"):
            found["published_at" + suffix].add(((p.host_ip, *port), value))
    return found


def union(*parts: Mapping[str, set[Element]]) -> Elements:
    return {name: set().union(*(part[name] for part in parts)) for name in SETS}


def table(
    name: str,
    elements: Mapping[str, set[Element]],
    *,
    marks: Iterable[str] = (),
    administrators: Iterable[str] = (),
) -> str:
    """Commands that put the whole table in place of whatever stands there, atomically.

    `marks`: chains that say what was changed elsewhere; `administrators`: rules to put back.
    """
    chains = "".join(f" chain {mark} {{\n }}\n" for mark in (VERSION, *marks))
    kept = "".join(f"add rule inet {name} {ADMINISTRATOR} {rule}\n" for rule in administrators)
    head = f"table inet {name} {{\n}}\ndelete table inet {name}\n"
    whole = f"table inet {name} {{\n{SKELETON}{chains}}}\n"
    return head + whole + kept + changes(name, {}, elements)


def changes(name: str, have: Mapping[str, set[Element]], want: Mapping[str, set[Element]]) -> str:
    """Commands that turn the elements `have` into `want`; empty where they agree."""
    lines = []
    for kind in SETS:
        old, new = have.get(kind, set()), want.get(kind, set())
        if old - new:
            keys = ", ".join(_text(kind, key) for key, _ in sorted(old - new))
            lines.append(f"delete element inet {name} {kind} {{ {keys} }}\n")
        if new - old:
            items = ", ".join(_item(kind, element) for element in sorted(new - old))
            lines.append(f"add element inet {name} {kind} {{ {items} }}\n")
    return "".join(lines)


def get(name: str, kind: str, element: Element) -> str:
    """The command that asks for one element by its key."""
    return f"get element inet {name} {kind} {{ {_text(kind, element[0])} }}"


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
    named = _NAMED.get(kind, len(key))
    return " . ".join(f'"{atom}"' if i >= named else atom for i, atom in enumerate(key))


# from which atom on a key consists of interfaces' names
_NAMED = {"bridges": 0, "internal": 0, "same": 0, "open": 0, "local": 1, "local6": 1}
