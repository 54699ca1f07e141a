"""The verbs that CNI has besides ADD and DEL, asked by hand: STATUS, CHECK, GC, and cached results.

Each verb gives findings, as `network.doctor` does: what is well, and what a plugin complained of.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sampan.engine import places
from sampan.kit import errors
from sampan.network.finding import Finding

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.places import Place
    from sampan.network.driver import Network


def network(engine: Engine, name: str) -> Network:
    """Raises InvalidArgument for one of another driver."""
    info = engine.networks.get(name)
    if info.driver != "cni":
        raise errors.InvalidArgument(
            f"network {info.name} is not made by CNI plugins, its driver is {info.driver}"
        )
    return engine.host_networks.describe(info)


async def status(engine: Engine, network: Network) -> list[Finding]:
    """Whether its plugins can serve an ADD now."""
    about = f"network {network.name}"
    try:
        asked = await engine.host_networks.cni.status(network)
    except errors.SampanError as error:
        return [Finding(level="wrong", about=about, text=str(error))]
    if not asked:
        text = "its plugins are there; its list is older than CNI 1.1, which has STATUS"
        return [Finding(level="note", about=about, text=text)]
    return [Finding(level="ok", about=about, text=f"ready: {', '.join(asked)}")]


async def check(engine: Engine, network: Network) -> list[Finding]:
    """Whether each running container's interface is still as its plugins made it."""
    found = []
    for container, place in _attached(engine, network):
        about = f"container {container.name}, {place.endpoint.interface}"
        netns = os.open(f"/proc/{container.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            done = await engine.host_networks.cni.check(network, place.endpoint, netns)
        except errors.SampanError as error:
            found.append(Finding(level="wrong", about=about, text=str(error)))
        else:
            text = "as its plugins made it" if done else "not checked: its list does not allow it"
            found.append(Finding(level="ok" if done else "note", about=about, text=text))
        finally:
            os.close(netns)
    return found


async def garbage(engine: Engine, network: Network) -> list[Finding]:
    """DEL for what no running container has, and the plugins' own GC."""
    try:
        gone = await collect(engine, network)
    except errors.SampanError as error:
        return [Finding(level="wrong", about=f"network {network.name}", text=str(error))]
    text = "undone, as no container has it"
    return [
        Finding(level="note", about=f"container {container[:12]}, {interface}", text=text)
        for container, interface in gone
    ] or [Finding(level="ok", about=f"network {network.name}", text="nothing was left over")]


VERBS = {"status": status, "check": check, "gc": garbage}


async def collect(engine: Engine, network: Network) -> list[tuple[str, str]]:
    """Who ended while no engine ran gives its addresses back; (container, interface) of each."""
    living = {
        (place.endpoint.container_id, place.endpoint.interface)
        for _, place in _attached(engine, network)
    }
    return await engine.host_networks.cni.collect(network, living)


def results(engine: Engine, network: Network) -> list[dict[str, Any]]:
    """What plugins answered to each ADD, by libcni's names."""
    return [
        {
            "containerId": cached.attachment.container_id,
            "ifName": cached.attachment.interface,
            "networkName": cached.plugins.name,
            "capabilityArgs": cached.capabilities,
            "result": cached.result,
        }
        for cached in engine.host_networks.cni.results(network)
    ]


def _attached(engine: Engine, network: Network) -> list[tuple[Container, Place]]:
    running = [container for container in engine.containers if container.running]
    return [
        (container, place)
        for container in running
        for place in places.of(container)
        if place.network.id == network.id
    ]
