"""What this host writes of its containers, and which of its parts it can do without."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from sampan.engine import name_views
from sampan.engine.shared import returning
from sampan.network.shared import keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.engine.engine import Engine
    from sampan.engine.shared.mirror import Mirror


def text_of(engine: Engine, mirror: Mirror, network: str, container: str) -> str | None:
    """Its endpoint as others shall know it; None where it has none, or has no right to it."""
    row = engine.db.row(
        "select address, address6, mac from endpoints where network_id = ? and container_id = ?",
        (network, container),
    )
    names = name_views.own_host(engine, network, container)
    if row is None or names is None:
        return None
    if returning.lost(engine, mirror, network, container):
        return None
    addresses = tuple(filter(None, (row["address"], row["address6"])))
    found = keys.Endpoint(
        host=mirror.identity, mac=row["mac"] or "", addresses=addresses, names=names
    )
    return keys.text(found)


def all_of(engine: Engine, mirror: Mirror, networks: Iterable[str]) -> dict[str, str]:
    """By key."""
    wanted = set(networks)
    found = {}
    for row in engine.db.rows("select network_id, container_id from endpoints"):
        network, container = row["network_id"], row["container_id"]
        if network in wanted and (text := text_of(engine, mirror, network, container)):
            found[keys.endpoint(network, container)] = text
    return found


def spare_parts(engine: Engine, mirror: Mirror, networks: Iterable[str]) -> list[str]:
    """Keys of parts from which nobody has an address, but for one a network and family."""
    found = []
    for network in networks:
        rows = engine.db.rows(
            "select address, address6 from endpoints where network_id = ?", (network,)
        )
        used = [ip_address(text) for row in rows for text in row if text]
        empty = [p for p in mirror.own_parts(network) if not any(one in p for one in used)]
        for version in (4, 6):
            spare = [part for part in empty if part.version == version][1:]
            found += [keys.part(network, part) for part in spare]
    return found
