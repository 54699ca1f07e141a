"""`sampan network doctor`: what `network.doctor` sees, and what only the engine knows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.engine import gateways, places, policies, published_ports
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.linux.nft import Nft
from sampan.network import doctor, listeners
from sampan.network.finding import Finding
from sampan.network.publish import published

if TYPE_CHECKING:
    from sampan.engine.engine import Engine
    from sampan.network.rules import Published

_REFUSED = re.compile(r"Bind for \S+:(\d+) failed: port is already allocated")  # `network.ports`


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
    taken = await in_thread(_taken, engine)
    return [*found, *taken, await _names(engine), *_store(engine), *_policies(engine)]


def _taken(engine: Engine) -> list[Finding]:
    """Ports that kept a container from starting, and who has them now."""
    found = []
    for container in engine.containers:
        refused = _REFUSED.search(container.error)
        if container.running or refused is None:
            continue
        port = int(refused[1])
        wanted = published_ports.wanted(container.config, container.host_config)
        for spec, bindings in wanted.items():
            protocol = spec.partition("/")[2]
            if any(first <= port <= last for _, first, last in bindings):
                who = ", ".join(listeners.processes(port, protocol))
                text = f"container {container.name} could not start, because it was taken"
                text += f": {who} has it" if who else "; it is free by now"
                level = "wrong" if who else "note"
                about = f"port {port}/{protocol}"
                found.append(Finding(level=level, about=about, text=text))
    return found


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
            found.append(Finding(level="wrong", about=about, text=str(error)))
            continue
        refused = {"egress": 0, "ingress": 0}
        for one in lists:
            refused[one.side] += one.refused.packets
        if lists:
            text = f"refused {refused['egress']} packets out and {refused['ingress']} in"
            more = f"; see sampan network policy {container.name}" if any(refused.values()) else ""
            level = "note" if more else "ok"
            found.append(Finding(level=level, about=about, text=text + more))
    return found


def _store(engine: Engine) -> list[Finding]:
    """Whether this host hears of the others, and they of it."""
    trouble = engine.shared.trouble()
    if trouble is None:
        return []
    if trouble:
        text = f"not followed, shared networks go on with what is known: {trouble}"
        return [Finding(level="wrong", about="network store", text=text)]
    others = [f"{one.name} ({one.address})" for one in engine.shared.mirror.others().values()]
    text = f"followed; other hosts: {', '.join(others) or 'none'}"
    return [Finding(level="ok", about="network store", text=text)]


async def _names(engine: Engine) -> Finding:
    names = engine.endpoints.names
    try:
        served, running = await names.served(), names.wanted()
    except errors.Unavailable as error:
        return Finding(level="wrong", about="names", text=str(error))
    missing = [c.name for c in running if c.id not in served]
    if missing:
        text = f"127.0.0.11 is not answered in {', '.join(missing)}: start them anew"
        return Finding(level="wrong", about="names", text=text)
    return Finding(level="ok", about="names", text=f"served to {len(served)} containers")
