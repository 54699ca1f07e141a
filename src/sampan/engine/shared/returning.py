"""Back after so long that others have parts of this host's: its containers get other addresses.

Who runs goes on running: it leaves the network and joins it again, as by `network disconnect` and
`connect`, so names, published ports and events follow. One that was given its address by its user
(`--ip`) cannot have another: it leaves the network, which the log says.
"""

from __future__ import annotations

import logging
from ipaddress import ip_address
from typing import TYPE_CHECKING

from sampan.kit import errors

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.network_info import NetworkInfo
    from sampan.engine.shared.mirror import Mirror

log = logging.getLogger("sampan.networks")


async def readdress(engine: Engine, mirror: Mirror) -> None:
    """All that have an address here of a part that is not ours."""
    rows = engine.db.rows(
        "select e.network_id, e.container_id from endpoints e"
        " join networks n on n.id = e.network_id where n.driver = 'overlay'"
    )
    for network, identity in rows:
        container = engine.containers.find(identity)
        if container is None or not lost(engine, mirror, network, identity):
            continue
        async with container.lock:
            if container.running and lost(engine, mirror, network, identity):
                await _move(engine, container, engine.networks.get(network))


def lost(engine: Engine, mirror: Mirror, network: str, container: str) -> str:
    """Its address there that another host may give out; "" where all are ours."""
    if not mirror.defined(network):
        return ""
    row = engine.db.row(
        "select address, address6 from endpoints where network_id = ? and container_id = ?",
        (network, container),
    )
    parts = mirror.own_parts(network)
    for address in filter(None, row or ()):
        if not any(ip_address(address) in part for part in parts):
            return str(address)
    return ""


async def _move(engine: Engine, container: Container, info: NetworkInfo) -> None:
    was = lost(engine, engine.shared.mirror, info.id, container.id)
    settings = container.networking.get(info.name) or container.networking.get(info.id) or {}
    what = f"container {container.name} had {was} of network {info.name}, which another host has"
    try:
        await engine.shared.prepare(info, settings.get("IPAMConfig") or {})
    except errors.Unavailable as e:
        log.warning("%s: it is tried again: %s", what, e)
        return
    except errors.SampanError as e:
        await engine.endpoints.detach(container, info)
        log.error("%s: it has left the network, for it can have no other: %s", what, e)
        return
    try:
        await engine.endpoints.detach(container, info)
        await engine.endpoints.attach(container, info, settings)
    except errors.SampanError as e:
        log.error("%s: it could not join again: %s", what, e)
    else:
        log.warning("%s by now: it has another address", what)
