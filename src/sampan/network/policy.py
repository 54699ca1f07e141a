"""What containers may reach and be reached by: allow lists and rates, as values and as nft text.

    [PROTOCOL/]HOST[:PORT[-PORT]]    10.0.0.0/8:5432  udp/192.0.2.1:53  [fd00::/8]:443
                                     example.org:443  *.debian.org:80  db:5432  *:443

HOST is an address, a CIDR, a name, a wildcard for a name's first labels, or `*` for all. With an
egress list everything else is refused at once (ICMP, administratively prohibited), with an ingress
list it is dropped; answers always pass. A name in an egress list is as good as its addresses: when
the resolver answers for it, it puts them into the rule's set. And with names as the only way out
nothing else is looked up, or a look-up itself would carry data away.

A `Policy` may belong to a container or to a network; a packet must be allowed by each that
concerns it. The rules stand in the container's own network namespace (one nft table), so they
hold between neighbours on one bridge and on every driver; who has CAP_NET_ADMIN there could take
them away.
"""

from __future__ import annotations

from sampan.kit.record import Record
from sampan.network import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TABLE = "sampan_policy"
NOTHING = f"table inet {TABLE} {{\n}}\ndelete table inet {TABLE}\n"  # fine if there is none
PREFIX = "sampan.network."
_KEYS = ("egress", "ingress", "egress-rate", "ingress-rate")
_PROTOCOLS = ("tcp", "udp", "sctp", "icmp")
_UNITS = {"kbit": 1_000, "mbit": 1_000_000, "gbit": 1_000_000_000}


class Rule(Record):
    protocol: str = ""  # "" is all
    network: str = ""  # a CIDR
    name: str = ""  # in lower case, perhaps "*.…"; both empty: every host
    ports: str = ""  # "443" or "80-90"; "" is all


class Policy(Record):
    """None is no list: all is allowed. Rates are bytes a second, 0 unlimited."""

    egress: tuple[Rule, ...] | None = None
    ingress: tuple[Rule, ...] | None = None
    egress_rate: int = 0
    ingress_rate: int = 0

    @property
    def restricts(self) -> bool:
        return self.egress is not None or self.ingress is not None


class Compiled(Record):
    """`names`: pattern → the sets that its addresses go to; `closed`: nothing else is looked up."""

    text: str
    names: tuple[tuple[str, str], ...]
    closed: bool


def parse(options: Mapping[str, str]) -> Policy:
    """From a network's options, or a container's labels; InvalidNetwork names the option."""
    given = {n.removeprefix(PREFIX): v for n, v in options.items() if n.startswith(PREFIX)}
    if unknown := given.keys() - set(_KEYS):
        raise errors.InvalidNetwork(
            f"unknown option {PREFIX}{min(unknown)}; there are "
            + ", ".join(PREFIX + key for key in _KEYS)
        )
    lists = {name: _rules(PREFIX + name, given.get(name)) for name in ("egress", "ingress")}
    if any(rule.name for rule in lists["ingress"] or ()):
        raise errors.InvalidNetwork(
            f"{PREFIX}ingress: names are for egress; who comes in has an address"
        )
    return Policy(
        egress=lists["egress"],
        ingress=lists["ingress"],
        egress_rate=_rate(PREFIX + "egress-rate", given.get("egress-rate", "")),
        ingress_rate=_rate(PREFIX + "ingress-rate", given.get("ingress-rate", "")),
    )


def _rules(option: str, text: str | None) -> tuple[Rule, ...] | None:
    """An empty list allows nothing."""
    if text is None:
        return None
    return tuple(_rule(option, word) for word in text.replace(",", " ").split())


def _rule(option: str, text: str) -> Rule:
    from ipaddress import ip_network  # the resolver has no use for it

    first, slash, rest = text.partition("/")
    protocol, target = (first, rest) if slash and first in _PROTOCOLS else ("", text)
    if target.startswith("["):
        host, _, tail = target[1:].partition("]")
        if tail and not tail.startswith(":"):
            raise errors.InvalidNetwork(f"{option}: {text!r} has {tail!r} after the bracket")
        ports = tail[1:]
    elif target.count(":") > 1:
        host, ports = target, ""  # IPv6 without brackets
    else:
        host, _, ports = target.partition(":")
    first_port, dash, last_port = ports.partition("-")
    numbers = [p for p in (first_port, last_port) if p or dash] if ports else []
    if not all(p.isascii() and p.isdigit() and 0 < int(p) < 65536 for p in numbers):
        raise errors.InvalidNetwork(f"{option}: {ports!r} in {text!r} is no port or range of ports")
    if ports and protocol == "icmp":
        raise errors.InvalidNetwork(f"{option}: {text!r}: ICMP has no ports")
    if host == "*":
        return Rule(protocol=protocol, ports=ports)
    try:
        return Rule(protocol=protocol, network=str(ip_network(host)), ports=ports)
    except ValueError as e:
        if not _is_name(host):
            raise errors.InvalidNetwork(
                f"{option}: {host!r} in {text!r} is neither an address, a network nor a name: {e}"
            ) from None
    return Rule(protocol=protocol, name=host.lower().rstrip("."), ports=ports)


def _is_name(text: str) -> bool:
    labels = text.removeprefix("*.").rstrip(".").split(".")
    return (
        all(
            label and len(label) < 64 and label.replace("-", "").replace("_", "").isalnum()
            for label in labels
        )
        and not labels[-1].isdigit()
    )


def _rate(option: str, text: str) -> int:
    if not text:
        return 0
    unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
    number = text.removesuffix(unit)
    if not unit or not number.isdigit() or not int(number):
        raise errors.InvalidNetwork(f"{option}: {text!r} must look like 512kbit, 10mbit or 1gbit")
    return int(number) * _UNITS[unit] // 8


def compile(policies: Sequence[tuple[str, Policy]]) -> Compiled:
    """The table for these: each with the interface it is about, or "" for all of them.

    Empty text where nothing is restricted.
    """
    sets: list[str] = []
    names: list[tuple[str, str]] = []
    chains: list[str] = []
    hooks: dict[str, list[str]] = {"egress": [], "ingress": []}
    for number, (interface, policy) in enumerate(policies):
        for side, rules in (("egress", policy.egress), ("ingress", policy.ingress)):
            if rules is None:
                continue
            lines = []
            for rule in rules:
                found = ""
                if rule.name:
                    found = f"names{len(names)}_"
                    names.append((rule.name, found))
                    sets += [_set(found + "4", "ipv4_addr"), _set(found + "6", "ipv6_addr")]
                lines += _lines(rule, "daddr" if side == "egress" else "saddr", found)
            refuse = "reject with icmpx type admin-prohibited" if side == "egress" else "drop"
            body = "".join(f"  {line} counter return\n" for line in lines)
            chains.append(f" chain {side}{number} {{\n{body}  counter {refuse}\n }}\n")
            match = f'{"oifname" if side == "egress" else "iifname"} "{interface}" '
            hooks[side].append(f"{match if interface else ''}jump {side}{number}")
    if not chains:
        return Compiled(text="", names=(), closed=False)
    chains += [
        _hook("output", "oifname", hooks["egress"]),
        _hook("input", "iifname", hooks["ingress"]),
    ]
    text = f"{NOTHING}table inet {TABLE} {{\n{''.join(sets)}{''.join(chains)}}}\n"
    lists = [policy.egress for _, policy in policies if policy.egress is not None]
    closed = not all(any(not r.name and not r.network for r in rules) for rules in lists)
    return Compiled(text=text, names=tuple(names), closed=closed)


def _set(name: str, kind: str) -> str:
    return f" set {name} {{\n  type {kind}\n  flags timeout\n }}\n"


def _hook(hook: str, match: str, jumps: Iterable[str]) -> str:
    body = "".join(f"  {jump}\n" for jump in jumps)
    return (
        f" chain {hook} {{\n  type filter hook {hook} priority filter; policy accept;\n"
        f'  {match} "lo" accept\n  ct state established,related accept\n'
        "  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept\n"
        f"{body} }}\n"
    )


def _lines(rule: Rule, field: str, names: str) -> list[str]:
    """The matches of one rule: two where both families are meant."""
    what = {"": "", "icmp": "meta l4proto { icmp, ipv6-icmp }"}.get(rule.protocol)
    if what is None:
        what = f"meta l4proto {rule.protocol}"
    if rule.ports:
        what = f"{what or 'meta l4proto { tcp, udp, sctp }'} th dport {rule.ports}"
    if names:
        return [f"ip {field} @{names}4 {what}", f"ip6 {field} @{names}6 {what}"]
    if rule.network:
        return [f"{'ip6' if ':' in rule.network else 'ip'} {field} {rule.network} {what}"]
    return [what or "meta l4proto 0-255"]


def words(rule: Rule) -> str:
    """The rule in the language of policies."""
    host = rule.network or rule.name or "*"
    plain = host.removesuffix("/32" if ":" not in host else "/128")
    if ":" in plain and rule.ports:
        plain = f"[{plain}]"
    return (
        (f"{rule.protocol}/" if rule.protocol else "")
        + plain
        + (f":{rule.ports}" if rule.ports else "")
    )


def matches(pattern: str, name: str) -> bool:
    """Whether a rule's name is (or covers) this one, in lower case without the last dot."""
    return name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))
