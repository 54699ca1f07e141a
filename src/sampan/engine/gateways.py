"""Which of a container's networks is its way out, in each address family.

The highest gateway priority wins (`--network name=…,gw-priority=…`); among equals a network with a
way out before an internal one, and then the first by name, as Docker has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.places import Place


def marked(places: Sequence[Place]) -> tuple[Place, ...]:
    """The same places, their endpoints told whether the default routes are theirs."""
    four = _best([p for p in places if p.endpoint.ipv4 and p.network.gateway])
    six = _best([p for p in places if p.endpoint.ipv6 and p.network.gateway6])
    return tuple(
        place.replace(
            endpoint=place.endpoint.replace(
                default_route=place.id == four, default_route6=place.id == six
            )
        )
        for place in places
    )


def main(places: Sequence[Place]) -> Place | None:
    """The one that ports are published on: the way out, or the first."""
    usable = [place for place in places if not place.network.internal] or list(places)
    best = _best(usable)
    return next((place for place in usable if place.id == best), None)


def _best(places: Sequence[Place]) -> str:
    def rank(place: Place) -> tuple[int, bool, str]:
        return (-place.priority, place.network.internal, place.network.name)

    return min(places, key=rank).id if places else ""
