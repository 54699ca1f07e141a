"""Containers on networks: addresses, interfaces, published ports.

    plan = endpoints.plan(container)            ports are reserved, addresses taken (rows written)
    await endpoints.connect(container, plan, netns)
    …
    await endpoints.release(container)          the container has ended: rows and translations go

The links of a container that died go with its network namespace; only translations and rows are
left to take away. `attach` and `detach` do the same for one network of a running container, and
move its default routes and ports when its way out (`gateways`) changes with that.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
from ipaddress import ip_address, ip_interface, ip_network
from typing import TYPE_CHECKING, Any

from sampan.engine import (
    containerfiles,
    gateways,
    name_servers,
    network_options,
    policies,
    pools,
    published_ports,
)
from sampan.engine.settings import address_pools
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.linux import netlink
from sampan.linux.nft import Nft
from sampan.network import driver, inside, ipam, ports
from sampan.network.bridge import BridgeDriver
from sampan.network.cni import CniDriver
from sampan.network.firewall import Firewall
from sampan.network.macvlan import IpvlanDriver, MacvlanDriver
from sampan.network.publish import publish, published, unpublish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.networks import NetworkInfo
    from sampan.network.ipam import Address, Subnet
    from sampan.network.publish import Binding

WITHOUT_ENDPOINTS = ("host", "null")


class Place(Record):
    """One endpoint of a container that is about to start, or runs."""

    network: driver.Network
    endpoint: driver.Endpoint
    id: str
    priority: int = 0

    @property
    def addressed(self) -> bool:
        """A cni network's plugins say an address only when they have made the interface."""
        return bool(self.endpoint.ipv4 or self.endpoint.ipv6) or self.network.driver == "cni"

    @property
    def named(self) -> bool:
        """Containers find each other by name: on all networks but the default one."""
        return self.network.name != "bridge"


class Plan(Record):
    places: tuple[Place, ...] = ()
    reservations: tuple[tuple[ports.Reservation, int], ...] = ()  # and the container's port

    @property
    def main(self) -> Place | None:
        return gateways.main(self.places)

    def close(self) -> None:
        """Drop our copies of the reserved sockets; the monitor has its own by now."""
        for reservation, _ in self.reservations:
            reservation.close()


class Endpoints:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._last: dict[tuple[str, int], Address] = {}  # network, family → the address last given
        self.firewall = Firewall(engine.paths.nft_table, Nft())
        self._cni = CniDriver(f"{engine.paths.root}/cni")
        self._drivers: dict[str, BridgeDriver | MacvlanDriver | CniDriver] = {
            "cni": self._cni,
            "bridge": BridgeDriver(self.firewall),
            "macvlan": MacvlanDriver(),
            "ipvlan": IpvlanDriver(),
        }
        self.names = name_servers.NameServers(engine)

    def close(self) -> None:
        for one in self._drivers.values():
            one.close()

    async def teardown(self) -> None:
        """Take every bridge and rule off the host; the rows stay."""
        for info in self._infos():
            await self.driver_of(info.driver).remove(self.describe(info))
        await self.firewall.teardown()

    # ---- networks

    def driver_of(self, name: str) -> driver.NetworkDriver:
        """Raises NotFound in Docker's words."""
        found = self._drivers.get(name)
        if found is None:
            raise errors.NotFound(
                f'could not find plugin {name} in v1 plugin registry: plugin "{name}" not found'
            )
        return found

    def describe(self, info: NetworkInfo) -> driver.Network:
        """A network's row as the driver wants it."""
        return network_options.describe(self._engine.paths, info)

    def networks(self) -> list[driver.Network]:
        """Those that a driver of ours makes."""
        return [self.describe(info) for info in self._infos()]

    def taken_subnets(self) -> list[Subnet]:
        """What a new network must not overlap: our networks, the host's routes."""
        taken: list[Subnet] = []
        for row in self._engine.db.rows("select spec from networks"):
            for pool in (json.loads(row[0]).get("ipam") or {}).get("config") or ():
                taken.append(ip_network(pool["subnet"]))
        with netlink.Socket() as sock:
            for family in (socket.AF_INET, socket.AF_INET6):
                for route in sock.routes(family):
                    network = ip_network((route.destination, route.prefix), strict=False)
                    if not network.is_link_local and not network.is_multicast:
                        taken.append(network)
        return taken

    def _infos(self) -> list[NetworkInfo]:
        rows = self._engine.db.rows("select name, driver from networks")
        return [self._engine.networks.get(r["name"]) for r in rows if r["driver"] in self._drivers]

    async def start(self) -> None:
        """At engine start: every bridge and rule as the rows say."""
        bridges = []
        for info in self._infos():
            if info.name == "bridge" and not (info.spec.get("ipam") or {}).get("config"):
                info = self._give_subnet(info)
            network = self.describe(info)
            await self._ensure(network)
            if info.driver == "cni":
                await self._collect(network)
            if info.driver == "bridge":
                bridges.append(network)
        wanted = []
        for container in self._engine.containers:
            place = gateways.main(self.places(container)) if container.running else None
            if place:
                wanted += published(place.network, place.endpoint, self.bindings(container))
        await self.firewall.reconcile(bridges, wanted)

    async def _ensure(self, network: driver.Network) -> None:
        """One network that cannot be must not keep the engine from starting."""
        try:
            await self.driver_of(network.driver).ensure(network)
        except errors.SampanError as error:
            if network.name == "bridge":
                raise
            name_servers.log.warning("network %s is not usable: %s", network.name, error)

    async def _collect(self, network: driver.Network) -> None:
        """Containers that ended while no engine ran give their addresses back."""
        places = [p for c in self._engine.containers if c.running for p in self.places(c)]
        living = {
            (place.endpoint.container_id, place.endpoint.interface)
            for place in places
            if place.network.id == network.id
        }
        try:
            await self._cni.collect(network, living)
        except errors.SampanError as error:
            name_servers.log.warning("network %s: %s", network.name, error)

    def _give_subnet(self, info: NetworkInfo) -> NetworkInfo:
        """The default bridge's, when it is made."""
        settings = self._engine.settings
        asked = []
        if settings["bip"]:
            own = ip_interface(settings["bip"])
            asked = [{"subnet": str(own.network), "gateway": str(own.ip)}]
        config = pools.make(
            asked,
            self.taken_subnets(),
            ipv4=True,
            ipv6=False,
            seed=info.id,
            defaults=address_pools(settings),
        )
        spec = {**info.spec, "ipam": {"driver": "default", "config": config}}
        self._engine.db.execute(
            "update networks set spec = ? where id = ?", (json.dumps(spec), info.id)
        )
        return info.replace(spec=spec)

    # ---- a container's start and end

    def plan(self, container: Container) -> Plan:
        """Reserve its ports, take its addresses. PortAllocated, AddressesExhausted, …"""
        reservations: list[tuple[ports.Reservation, int]] = []
        places: list[Place] = []
        try:
            with self._engine.db.transaction():
                for name, settings in container.networking.items():
                    info = self._engine.networks.get(name)
                    if info.driver not in WITHOUT_ENDPOINTS:
                        places.append(self._take(container, info, settings, places))
                if main := gateways.main(places):
                    bind_address = main.network.bind_address or self._engine.settings["ip"]
                    for pair in published_ports.reserve(container, bind_address):
                        reservations.append(pair)
        except BaseException:
            for reservation, _ in reservations:
                reservation.close()
            raise
        return Plan(places=gateways.marked(places), reservations=tuple(reservations))

    def _take(
        self,
        container: Container,
        info: NetworkInfo,
        settings: dict[str, Any],
        others: Sequence[Place],
    ) -> Place:
        asked = settings.get("IPAMConfig") or {}
        four = self._address(container, info, 4, asked.get("IPv4Address"))
        six = self._address(container, info, 6, asked.get("IPv6Address"))
        interface, _ = network_options.endpoint_options(settings)
        used = {place.endpoint.interface for place in others}
        if interface in used:
            raise errors.InvalidArgument(f"the container has an interface {interface} already")
        prefix = network_options.interface_prefix(info)
        free = (name for n in range(len(used) + 1) if (name := f"{prefix}{n}") not in used)
        row = {
            "id": secrets.token_hex(32),
            "container": container.id,
            "network": info.id,
            "address": four,
            "address6": six,
            "mac": settings.get("MacAddress") or _usual_mac(info, four or six),
            "interface": interface or next(free),
            "settings": json.dumps(settings),
        }
        self._engine.db.execute(
            "insert into endpoints"
            " (id, container_id, network_id, address, address6, mac, interface, settings) values"
            " (:id, :container, :network, :address, :address6, :mac, :interface, :settings)"
            " on conflict (container_id, network_id) do update set"
            " id = excluded.id, address = excluded.address, address6 = excluded.address6,"
            " mac = excluded.mac, interface = excluded.interface, settings = excluded.settings",
            row,
        )
        self.names.changed(info.id, container.id)
        return self._place(container, info, row)

    def _address(
        self, container: Container, info: NetworkInfo, version: int, wanted: str | None
    ) -> str | None:
        pool = pools.of(info.spec, version)
        if pool is None:
            return None  # an address that was asked for in this family is ignored, as by dockerd
        column = "address" if version == 4 else "address6"
        rows = self._engine.db.rows(
            f"select {column} from endpoints where network_id = ? and {column} is not null"
            " and container_id <> ?",
            (info.id, container.id),
        )
        in_use = {ip_address(row[0]) for row in rows} | pool.reserved
        if wanted:
            return str(ipam.claim(pool.subnet, in_use, wanted))
        last = self._last.get((info.id, version))
        address = ipam.allocate(info.name, pool.subnet, in_use, ip_range=pool.part, after=last)
        self._last[info.id, version] = address
        return str(address)

    def _place(self, container: Container, info: NetworkInfo, row: dict[str, Any]) -> Place:
        network, settings = self.describe(info), json.loads(row["settings"])
        endpoint = driver.Endpoint(
            container_id=container.id,
            name=container.name,
            ipv4=row["address"] or "",
            prefix=_prefix(network.subnet, row["address"]),
            ipv6=row["address6"] or "",
            prefix6=_prefix(network.subnet6, row["address6"]),
            mac=row["mac"],
            interface=row["interface"],
            aliases=tuple(settings.get("Aliases") or ()),
            sysctls=network_options.endpoint_options(settings)[1],
        )
        priority = settings.get("GwPriority") or 0
        return Place(network=network, endpoint=endpoint, id=row["id"], priority=priority)

    def places(self, container: Container) -> list[Place]:
        """Where a container is now, from the rows."""
        rows = self._engine.db.rows(
            "select * from endpoints where container_id = ? order by rowid", (container.id,)
        )
        found = [
            self._place(container, self._engine.networks.get(row["network_id"]), dict(row))
            for row in rows
        ]
        return list(gateways.marked([p for p in found if p.addressed]))

    def bindings(self, container: Container) -> list[Binding]:
        return published_ports.of(container)

    async def connect(self, container: Container, plan: Plan, netns: int, pid: int) -> None:
        """Interfaces, addresses, translations and names, all usable on return."""
        for place in plan.places:
            await self._connect(container, place, netns, publish=place == plan.main)
        policies.apply(container, plan.places, netns)
        bindings = self.bindings(container) if plan.reservations else []
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
            bindings = self.bindings(container)
            ports = [(b.host_ip, b.host_port, b.container_port, b.protocol) for b in bindings]
            endpoint = endpoint.replace(ports=tuple(ports))
        made = await self.driver_of(place.network.driver).connect(place.network, endpoint, netns)
        if made is not None:
            self._engine.db.execute(
                "update endpoints set address = ?, address6 = ?, mac = ? where id = ?",
                (made.ipv4 or None, made.ipv6 or None, made.mac, place.id),
            )

    async def _publish(self, place: Place, bindings: Sequence[Binding]) -> None:
        if place.network.driver == "bridge":
            await publish(self.firewall, place.network, place.endpoint, bindings)

    async def _unpublish(self, place: Place, bindings: Sequence[Binding]) -> None:
        if place.network.driver == "bridge":
            await unpublish(self.firewall, place.network, place.endpoint, bindings)

    async def release(self, container: Container) -> None:
        """The container is gone, and its links with it."""
        await self.names.close(container)
        places = self.places(container)
        for place in places:
            if place.network.driver == "cni":
                await self._give_back(place)
        bindings = self.bindings(container)
        if bindings and (main := gateways.main(places)):
            await self._unpublish(main, bindings)
        with self._engine.db.transaction():
            self._engine.db.execute("delete from endpoints where container_id = ?", (container.id,))
            if bindings:
                self._engine.db.execute("delete from ports where container_id = ?", (container.id,))
        for place in places:
            self.names.changed(place.network.id, container.id)
            self._event("disconnect", container, place.network)

    async def _give_back(self, place: Place) -> None:
        try:
            await self._cni.disconnect(place.network, place.endpoint, -1)
        except errors.SampanError as error:  # the next engine start collects it
            name_servers.log.warning("network %s: %s", place.network.name, error)

    # ---- one network of a running container

    async def attach(
        self, container: Container, info: NetworkInfo, settings: dict[str, Any]
    ) -> None:
        """`network connect` while it runs; the caller has checked that it is not there yet."""
        before = self.places(container)
        with self._engine.db.transaction():
            taken = self._take(container, info, settings, before)
        place = next(p for p in self.places(container) if p.id == taken.id)
        netns = os.open(f"/proc/{container.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            await self._connect(container, place, netns, publish=not before)
            policies.apply(container, self.places(container), netns, again=True)
            if place.named:
                await self.names.open(container, netns, container.pid)
                text = containerfiles.resolv_conf(container, embedded=True)
                containerfiles.write_file(container, "resolv.conf", text)
        except BaseException:
            self._forget(info, place, container)
            raise
        finally:
            os.close(netns)
        await self._move_ports(container, before)
        self._event("connect", container, place.network)

    async def detach(self, container: Container, info: NetworkInfo) -> None:
        """`network disconnect` while it runs."""
        before = self.places(container)
        place = next((place for place in before if place.network.id == info.id), None)
        if place is None:
            return
        netns = os.open(f"/proc/{container.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            await self.driver_of(info.driver).disconnect(place.network, place.endpoint, netns)
            self._forget(info, place, container)
            for other in self.places(container):
                inside.reroute(other.network, other.endpoint, netns)
            policies.apply(container, self.places(container), netns, again=True)
            if place.named:
                await self.names.open(container, netns, container.pid)  # one network fewer
        finally:
            os.close(netns)
        await self._move_ports(container, before)
        self._event("disconnect", container, place.network)

    def _forget(self, info: NetworkInfo, place: Place, container: Container) -> None:
        self._engine.db.execute("delete from endpoints where id = ?", (place.id,))
        self.names.changed(info.id, container.id)

    async def _move_ports(self, container: Container, before: Sequence[Place]) -> None:
        """Translations follow the way out."""
        old, new = gateways.main(before), gateways.main(self.places(container))
        bindings = self.bindings(container)
        if not bindings or (old and new and old.id == new.id):
            return
        if old:
            await self._unpublish(old, bindings)
        if new:
            await self._publish(new, bindings)

    def _event(self, action: str, container: Container, network: driver.Network) -> None:
        about = {"container": container.id, "name": network.name, "type": network.driver}
        self._engine.events.publish("network", action, network.id, about)


def _usual_mac(info: NetworkInfo, address: str | None) -> str:
    """Plugins choose their own."""
    return "" if info.driver == "cni" else driver.mac_of(address or "0.0.0.0")


def _prefix(subnet: str, address: str | None) -> int:
    """Of the network; of the address alone where only plugins know the network."""
    if not address:
        return 0
    return ip_network(subnet or address).prefixlen
