"""`sampan network doctor`: what `network.doctor` sees, and what only the engine knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.engine import gateways, places, policies, published_ports
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.linux.nft import Nft
from sampan.network import doctor
from sampan.network.publish import published

if TYPE_CHECKING:
    from sampan.engine.engine import Engine
    from sampan.network.doctor import Finding
    from sampan.network.rules import Published


async def examine(engine: Engine) -> list[Finding]:
    host_networks = engine.host_networks
    networks = host_networks.described()
    items: list[tuple[str, Published]] = []
    for container in engine.containers:
        place = gateways.main(places.of(container)) if container.running else None
        if place and place.network.bridged:
            wanted = published(place.network, place.endpoint, published_ports.of(container))
            items += [(container.name, item) for item in wanted]
    nft = Nft()
    try:
        found = await in_thread(doctor.examine, host_networks.firewall, nft, networks, items)
    finally:
        nft.close()
    return [*found, await _names(engine), *_store(engine), *_policies(engine)]


def _policies(engine: Engine) -> list[Finding]:
    """Containers whose policy has refused something: meant so, or not."""
    found = []
    for container in engine.containers:
        if not container.running:
            continue
        about = f"policy of {container.name}"
        try:
            lists = policies.hits(container, places.of(container))
        except errors.SampanError as error:
            found.append(doctor.Finding(level="wrong", about=about, text=str(error)))
            continue
        refused = {"egress": 0, "ingress": 0}
        for one in lists:
            refused[one.side] += one.refused.packets
        if lists:
            text = f"refused {refused['egress']} packets out and {refused['ingress']} in"
            more = f"; see sampan network policy {container.name}" if any(refused.values()) else ""
            level = "note" if more else "ok"
            found.append(doctor.Finding(level=level, about=about, text=text + more))
    return found


def _store(engine: Engine) -> list[Finding]:
    """Whether this host hears of the others, and they of it."""
    trouble = engine.shared.trouble()
    if trouble is None:
        return []
    if trouble:
        text = f"not followed, shared networks go on with what is known: {trouble}"
        return [doctor.Finding(level="wrong", about="network store", text=text)]
    others = [f"{one.name} ({one.address})" for one in engine.shared.mirror.others().values()]
    text = f"followed; other hosts: {', '.join(others) or 'none'}"
    return [doctor.Finding(level="ok", about="network store", text=text)]


async def _names(engine: Engine) -> Finding:
    names = engine.endpoints.names
    try:
        served, running = await names.served(), names.wanted()
    except errors.Unavailable as error:
        return doctor.Finding(level="wrong", about="names", text=str(error))
    missing = [c.name for c in running if c.id not in served]
    if missing:
        text = f"127.0.0.11 is not answered in {', '.join(missing)}: start them anew"
        return doctor.Finding(level="wrong", about="names", text=text)
    return doctor.Finding(level="ok", about="names", text=f"served to {len(served)} containers")
