"""What the resolver is told: a host is who is found on a network, a view is what one may ask.

Both are read from the rows each time (`network.dns_zone` has their shapes).
"""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

from sampan.engine import containerfiles, places, policies, units
from sampan.network import dns_zone, files

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.monitors import Message
    from sampan.engine.places import Place


def named(container: Container) -> list[Place]:
    return [place for place in places.of(container) if place.named]


def host(engine: Engine, network: str, container_id: str) -> Message | None:
    """A container on this host, or on another one that shares the network."""
    far = engine.shared.mirror.is_far(network, container_id)
    return far.names if far else own_host(engine, network, container_id)


def own_host(engine: Engine, network: str, container_id: str) -> Message | None:
    row = engine.db.row(
        "select address, address6, settings from endpoints"
        " where network_id = ? and container_id = ?",
        (network, container_id),
    )
    container = engine.containers.find(container_id)
    if row is None or container is None:
        return None
    aliases = json.loads(row["settings"]).get("Aliases") or ()
    host = dns_zone.Host(
        name=container.name,
        addresses=tuple(filter(None, (row["address"], row["address6"]))),
        called=_called(container, aliases),
        ports=_ports(container),
    )
    return dns_zone.host_message(host)


def view(container: Container) -> dns_zone.View:
    everywhere = places.of(container)
    here = [place for place in everywhere if place.named]
    allowed = policies.compiled(container, everywhere)
    return dns_zone.View(
        networks=tuple((place.network.id, place.network.name.lower()) for place in here),
        links={place.network.id: _links(container, place) for place in here},
        upstreams=_upstreams(container, everywhere),
        admitted=allowed.names,
        closed=allowed.closed,
    )


def _links(container: Container, place: Place) -> dict[str, str]:
    """`--link CONTAINER:ALIAS` on this network: alias → who is meant.

    A name stays one, whoever has it by then; the start of an id becomes the id.
    """
    found = {}
    networking = container.networking
    settings = networking.get(place.network.name) or networking.get(place.network.id) or {}
    for link in settings.get("Links") or ():
        target, _, alias = str(link).partition(":")
        plain = target.removeprefix("/")
        linked = container.engine.containers.find(plain)
        by_id = linked and linked.name != plain
        found[(alias or plain).lower()] = linked.id if linked and by_id else plain.lower()
    return found


def _called(container: Container, aliases: Sequence[str]) -> tuple[str, ...]:
    """Its names in lower case, each once."""
    hostname = container.config.get("Hostname") or ""
    names = (container.name, container.id[:12], hostname, *aliases)
    return tuple(dict.fromkeys(name.lower() for name in names if name))


def _ports(container: Container) -> tuple[tuple[int, str, str], ...]:
    """What it exposes, for SRV: by number and by the name that /etc/services has."""
    found = []
    for spec in container.config.get("ExposedPorts") or ():
        port, kind = units.port(spec)
        try:
            service = socket.getservbyport(port, kind)
        except OSError:
            service = ""
        found.append((port, kind, service))
    return tuple(found)


def _upstreams(container: Container, everywhere: Sequence[Place]) -> tuple[str, ...]:
    """Whom to ask what is not ours; nobody, where every network is internal."""
    if all(place.network.internal for place in everywhere):
        return ()
    asked: Sequence[str] = container.host_config.get("Dns") or container.engine.settings["dns"]
    host = containerfiles.host_resolv_conf()
    return tuple(asked or files.nameservers(host, loopback=True) or files.FALLBACK)
