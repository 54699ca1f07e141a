"""Containers on networks: addresses, interfaces, published ports.

    await endpoints.prepare(container)
    plan = endpoints.plan(container)            ports are reserved, addresses taken (rows written)
    await endpoints.connect(container, plan, netns)
    …
    await endpoints.release(container)          the container has ended: rows and translations go

The links of a container that died go with its network namespace; only translations and rows are
left to take away. `attach` and `detach` do the same for one network of a running container, and
move its default routes and ports when its way out (`gateways`) changes with that.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sampan.engine import (
    containerfiles,
    gateways,
    name_servers,
    network_configs,
    places,
    policies,
    published_ports,
)
from sampan.engine.errors import NotPermitted
from sampan.engine.places import Place, Plan
from sampan.network import driver, inside, ports
from sampan.network.publish import publish, unpublish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.network_info import NetworkInfo
    from sampan.network.publish import Binding

WITHOUT_ENDPOINTS = ("host", "null")


class Endpoints:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._allocator = places.Allocator(engine)
        self.names = name_servers.NameServers(engine)

    # ---- a container's start and end

    async def prepare(self, container: Container) -> None:
        """Have addresses to give on networks that hosts share; otherwise nothing."""
        for name, settings in container.networking.items():
            info = self._engine.networks.get(name)
            await self._engine.shared.prepare(info, settings.get("IPAMConfig") or {})

    def plan(self, container: Container) -> Plan:
        """Reserve its ports, take its addresses. PortAllocated, AddressesExhausted, …"""
        reservations: list[tuple[ports.Reservation, int]] = []
        taken: list[Place] = []
        try:
            with self._engine.db.transaction():
                for name, settings in container.networking.items():
                    info = self._engine.networks.get(name)
                    if network_configs.is_one(info):
                        raise NotPermitted(f"configuration network {name} is for no containers")
                    if info.driver not in WITHOUT_ENDPOINTS:
                        taken.append(self._take(container, info, settings, taken))
                if main := gateways.main(taken):
                    bind_address = main.network.bind_address or self._engine.settings["ip"]
                    for pair in published_ports.reserve(container, bind_address):
                        reservations.append(pair)
                        if main.network.internal:
                            pair[0].silence()
        except BaseException:
            for reservation, _ in reservations:
                reservation.close()
            raise
        return Plan(places=gateways.marked(taken), reservations=tuple(reservations))

    def _take(
        self,
        container: Container,
        info: NetworkInfo,
        settings: dict[str, Any],
        others: Sequence[Place],
    ) -> Place:
        place = self._allocator.take(container, info, settings, others)
        self._changed(info.id, container.id)
        return place

    async def connect(self, container: Container, plan: Plan, netns: int, pid: int) -> None:
        """Interfaces, addresses, translations and names, all usable on return."""
        for place in plan.places:
            await self._connect(container, place, netns, publish=place == plan.main)
        policies.apply(container, plan.places, netns)
        bindings = published_ports.of(container) if plan.reservations else []
        if bindings and plan.main:
            await self._publish(plan.main, bindings)
        if any(place.named for place in plan.places):
            await self.names.open(container, netns, pid)
        for place in plan.places:
            self._event("connect", container, place.network)

    async def _connect(
        self, container: Container, place: Place, netns: int, *, publish: bool
    ) -> None:
        endpoint = place.endpoint
        if publish and place.network.driver == "cni":
            bindings = published_ports.of(container)
            ports = [(b.host_ip, b.host_port, b.container_port, b.protocol) for b in bindings]
            endpoint = endpoint.replace(ports=tuple(ports))
        made = await self._engine.host_networks.driver_of(place.network.driver).connect(
            place.network, endpoint, netns
        )
        if made is not None:
            self._engine.db.execute(
                "update endpoints set address = ?, address6 = ?, mac = ? where id = ?",
                (made.ipv4 or None, made.ipv6 or None, made.mac, place.id),
            )

    async def _publish(self, place: Place, bindings: Sequence[Binding]) -> None:
        if place.network.bridged:
            await publish(
                self._engine.host_networks.firewall, place.network, place.endpoint, bindings
            )

    async def _unpublish(self, place: Place, bindings: Sequence[Binding]) -> None:
        if place.network.bridged:
            await unpublish(
                self._engine.host_networks.firewall, place.network, place.endpoint, bindings
            )

    async def release(self, container: Container) -> None:
        """The container is gone, and its links with it."""
        await self.names.close(container)
        left = places.of(container)
        for place in left:
            if place.network.driver == "cni":
                await self._engine.host_networks.give_back(place)
        bindings = published_ports.of(container)
        if bindings and (main := gateways.main(left)):
            await self._unpublish(main, bindings)
        with self._engine.db.transaction():
            self._engine.db.execute("delete from endpoints where container_id = ?", (container.id,))
            if bindings:
                self._engine.db.execute("delete from ports where container_id = ?", (container.id,))
        for place in left:
            self._changed(place.network.id, container.id)
            self._event("disconnect", container, place.network)

    def _changed(self, network_id: str, container_id: str) -> None:
        """A container joined, left, or is called something else: names and other hosts hear it."""
        self.names.changed(network_id, container_id)
        self._engine.shared.changed(network_id, container_id)

    async def renamed(self, container: Container) -> None:
        await self.names.renamed(container)
        for place in places.of(container):
            self._engine.shared.changed(place.network.id, container.id)

    # ---- one network of a running container

    async def attach(
        self, container: Container, info: NetworkInfo, settings: dict[str, Any]
    ) -> None:
        """`network connect` while it runs; the caller has checked that it is not there yet."""
        await self._engine.shared.prepare(info, settings.get("IPAMConfig") or {})
        before = places.of(container)
        with self._engine.db.transaction():
            taken = self._take(container, info, settings, before)
        after = places.of(container)
        place = next(p for p in after if p.id == taken.id)
        netns = os.open(f"/proc/{container.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            await self._connect(container, place, netns, publish=not before)
            policies.apply(container, after, netns, before=before)
            if place.named:
                await self.names.open(container, netns, container.pid)
                text = containerfiles.resolv_conf(container, embedded=True)
                containerfiles.write_file(container, "resolv.conf", text)
        except BaseException:
            self._forget(info, place, container)
            raise
        finally:
            os.close(netns)
        await self._move_ports(container, before, after)
        self._event("connect", container, place.network)

    async def detach(self, container: Container, info: NetworkInfo) -> None:
        """`network disconnect` while it runs."""
        before = places.of(container)
        place = next((place for place in before if place.network.id == info.id), None)
        if place is None:
            return
        netns = os.open(f"/proc/{container.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            await self._engine.host_networks.driver_of(info.driver).disconnect(
                place.network, place.endpoint, netns
            )
            self._forget(info, place, container)
            after = places.of(container)
            for other in after:
                inside.reroute(other.network, other.endpoint, netns)
            policies.apply(container, after, netns, before=before)
            if place.named:
                await self.names.open(container, netns, container.pid)  # one network fewer
        finally:
            os.close(netns)
        await self._move_ports(container, before, after)
        self._event("disconnect", container, place.network)

    def _forget(self, info: NetworkInfo, place: Place, container: Container) -> None:
        self._engine.db.execute("delete from endpoints where id = ?", (place.id,))
        self._changed(info.id, container.id)

    async def _move_ports(
        self, container: Container, before: Sequence[Place], after: Sequence[Place]
    ) -> None:
        """Translations follow the way out."""
        old, new = gateways.main(before), gateways.main(after)
        if old and new and old.id == new.id:
            return
        bindings = published_ports.of(container)
        if bindings and old:
            await self._unpublish(old, bindings)
        if bindings and new:
            await self._publish(new, bindings)

    def _event(self, action: str, container: Container, network: driver.Network) -> None:
        about = {"container": container.id, "name": network.name, "type": network.driver}
        self._engine.events.publish("network", action, network.id, about)
