"""What a container's policy has let through and refused: its rules with the kernel's counters.

Only first packets of connections come to the rules (answers and the rest of a connection pass
before them), so a hit is a connection, or a datagram to somebody new. Counters begin at 0 when the
container starts, and when its networks change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.kit.record import Record
from sampan.network import policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.linux.nft import Nft


class Hits(Record):
    """`rule` in the policy's language; `addresses`: what a name stands for now."""

    rule: str
    packets: int
    bytes: int
    addresses: tuple[str, ...] = ()


class List(Record):
    """One allow list: of the interface it is about, or "" for all of them."""

    interface: str
    side: str  # egress, ingress
    rules: tuple[Hits, ...]
    refused: Hits


def read(nft: Nft, policies: Sequence[tuple[str, policy.Policy]]) -> list[List]:
    """`policies` as `policy.compile` had them; `nft` of their namespace. Raises Refused."""
    items = nft.list(f"list table inet {policy.TABLE}")
    counted: dict[str, list[tuple[int, int]]] = {}
    sets: dict[str, list[str]] = {}
    for item in items:
        if rule := item.get("rule"):
            counted.setdefault(rule["chain"], []).append(_counter(rule))
        elif one := item.get("set"):
            sets[one["name"]] = [_element(element) for element in one.get("elem", ())]
    found, names = [], 0
    for number, (interface, one) in enumerate(policies):
        for side, rules in (("egress", one.egress), ("ingress", one.ingress)):
            if rules is None:
                continue
            lines = iter(counted.get(f"{side}{number}", ()))
            shown = []
            for rule in rules:
                known: list[str] = []
                if rule.name:
                    known = sets.get(f"names{names}_4", []) + sets.get(f"names{names}_6", [])
                    names += 1
                counts = [next(lines, (0, 0)) for _ in range(2 if rule.name else 1)]
                shown.append(_hits(policy.words(rule), counts, known))
            refused = _hits("", [next(lines, (0, 0))])
            found.append(List(interface=interface, side=side, rules=tuple(shown), refused=refused))
    return found


def _hits(rule: str, counts: Sequence[tuple[int, int]], known: Sequence[str] = ()) -> Hits:
    packets, size = (sum(column) for column in zip(*counts, strict=True))
    return Hits(rule=rule, packets=packets, bytes=size, addresses=tuple(known))


def _counter(rule: dict[str, Any]) -> tuple[int, int]:
    """(packets, bytes)."""
    for expression in rule["expr"]:
        if counter := expression.get("counter"):
            return counter["packets"], counter["bytes"]
    return 0, 0


def _element(element: Any) -> str:
    """A plain address, or one with a timeout."""
    return str(element["elem"]["val"] if isinstance(element, dict) else element)
