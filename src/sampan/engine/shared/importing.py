"""Networks that other hosts have made, or removed, become so here."""

from __future__ import annotations

import json
import logging
from ipaddress import ip_network
from typing import TYPE_CHECKING

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from sampan.engine.engine import Engine
    from sampan.engine.network_info import NetworkInfo
    from sampan.engine.shared.mirror import Mirror
    from sampan.network.shared.keys import Definition

log = logging.getLogger("sampan.networks")


def rows(engine: Engine, networks: Iterable[str]) -> list[NetworkInfo]:
    """Those of these ids that are here."""
    here = {row["id"] for row in engine.db.rows("select id from networks where driver = 'overlay'")}
    return [engine.networks.get(one) for one in networks if one in here]


async def networks(
    engine: Engine, mirror: Mirror, owned: Collection[str], refused: set[str]
) -> None:
    """Make the rows those of the mirror; `owned` are somebody's here just now.

    Those that cannot be here are added to `refused`, so that this is said once.
    """
    definitions = mirror.known.definitions()
    here = {
        row["id"]: engine.networks.get(row["id"])
        for row in engine.db.rows("select id from networks where driver = 'overlay'")
    }
    for identity, info in here.items():
        if info.spec.get("shared") and identity not in definitions and identity not in owned:
            await _drop(engine, info, refused)
    for identity, definition in definitions.items():
        if identity not in here and identity not in owned and identity not in refused:
            await _adopt(engine, identity, definition, refused)


async def _adopt(engine: Engine, identity: str, found: Definition, refused: set[str]) -> None:
    from sampan.engine.network_info import NetworkInfo

    info = NetworkInfo(
        id=identity,
        name=found.name,
        driver="overlay",
        created=found.created,
        written=json.dumps(found.spec),
    )
    subnets = [ip_network(pool["subnet"]) for pool in found.spec["ipam"]["config"]]
    taken = [one for one in engine.host_networks.taken_subnets() if one.prefixlen]
    overlapping = [s for s in subnets for t in taken if s.version == t.version and s.overlaps(t)]
    try:
        if overlapping:
            raise errors.Conflict(f"its subnet {overlapping[0]} overlaps one of this host's")
        await engine.networks.adopt(info)
    except errors.SampanError as e:
        refused.add(identity)
        log.warning("network %s of another host is not usable here: %s", info.name, e)


async def _drop(engine: Engine, info: NetworkInfo, refused: set[str]) -> None:
    """One that is in use here stays until it is not."""
    if engine.db.value("select 1 from endpoints where network_id = ?", (info.id,)):
        if info.id not in refused:
            log.warning("network %s was removed on another host while it is used here", info.name)
        refused.add(info.id)
        return
    try:
        await engine.networks.forget(info)
    except errors.SampanError as e:
        log.warning("network %s, which another host removed: %s", info.name, e)


async def renew(engine: Engine) -> None:
    """This host's address is another one: tunnels are made again."""
    for row in engine.db.rows("select id from networks where driver = 'overlay'"):
        info = engine.networks.get(row["id"])
        if info.spec.get("shared"):
            try:
                await engine.host_networks.ensure(info)
            except errors.SampanError as e:
                log.warning("network %s is not usable: %s", info.name, e)
