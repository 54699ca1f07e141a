"""Containers on networks: addresses, interfaces, published ports.

    plan = endpoints.plan(container)            ports are reserved, addresses taken (rows written)
    await endpoints.connect(container, plan, netns)
    …
    await endpoints.release(container)          the container has ended: rows and translations go

The links of a container that died go with its network namespace; only translations and rows are
left to take away. `attach` and `detach` do the same for one network of a running container.
"""

from __future__ import annotations

import json
import secrets
from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import TYPE_CHECKING, Any

from sampan.engine import containerfiles, name_servers, units
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.linux import netlink
from sampan.linux.nft import Nft
from sampan.network import driver, ipam, ports
from sampan.network.bridge import BridgeDriver
from sampan.network.firewall import Firewall
from sampan.network.publish import Binding, publish, published, unpublish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.networks import NetworkInfo


class Place(Record):
    """One endpoint of a container that is about to start, or runs."""

    network: driver.Network
    endpoint: driver.Endpoint
    id: str

    @property
    def named(self) -> bool:
        """Containers find each other by name: on all networks but the default one."""
        return self.network.name != "bridge"


class Plan(Record):
    places: tuple[Place, ...] = ()
    reservations: tuple[tuple[ports.Reservation, int], ...] = ()  # and the container's port

    def close(self) -> None:
        """Drop our copies of the reserved sockets; the monitor has its own by now."""
        for reservation, _ in self.reservations:
            reservation.close()


class Endpoints:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._last: dict[str, IPv4Address] = {}  # network → the address last given
        self.firewall = Firewall(engine.paths.nft_table, Nft())
        self.driver = BridgeDriver(self.firewall)
        self.names = name_servers.NameServers(engine)

    def close(self) -> None:
        self.driver.close()

    async def teardown(self) -> None:
        """Take every bridge and rule off the host; the rows stay."""
        for row in self._engine.db.rows("select name from networks where driver = 'bridge'"):
            await self.driver.remove(self.describe(self._engine.networks.get(row[0])))
        await self.firewall.teardown()

    # ---- networks

    def describe(self, info: NetworkInfo) -> driver.Network:
        """A network's row as the driver wants it."""
        spec = info.spec
        pool: dict[str, Any] = next(iter((spec.get("ipam") or {}).get("config") or ()), {})
        options: dict[str, str] = spec.get("options") or {}
        default = info.name == "bridge"
        bridge = options.get("com.docker.network.bridge.name") or (
            self._engine.paths.bridge if default else f"smp-{info.id[:10]}"
        )
        return driver.Network(
            id=info.id,
            name=info.name,
            driver=info.driver,
            subnet=pool.get("subnet", ""),
            gateway=pool.get("gateway", ""),
            bridge=bridge,
            internal=bool(spec.get("internal")),
            icc=options.get("com.docker.network.bridge.enable_icc", "true") != "false",
            masquerade=options.get("com.docker.network.bridge.enable_ip_masquerade", "true")
            != "false",
            mtu=int(options.get("com.docker.network.driver.mtu") or 0),
        )

    def taken_subnets(self) -> list[IPv4Network]:
        """What a new network must not overlap: our networks, the host's routes."""
        taken = []
        for row in self._engine.db.rows("select spec from networks"):
            for pool in (json.loads(row[0]).get("ipam") or {}).get("config") or ():
                taken.append(IPv4Network(pool["subnet"]))
        with netlink.Socket() as sock:
            for route in sock.routes():
                network = ip_network(route.destination, strict=False)
                if isinstance(network, IPv4Network):
                    taken.append(network)
        return taken

    async def start(self) -> None:
        """At engine start: every bridge and rule as the rows say."""
        networks = []
        for row in self._engine.db.rows("select name from networks where driver = 'bridge'"):
            info = self._engine.networks.get(row[0])
            if not (info.spec.get("ipam") or {}).get("config"):
                info = self._give_subnet(info)
            network = self.describe(info)
            await self.driver.ensure(network)
            networks.append(network)
        wanted = []
        for container in self._engine.containers:
            if container.running:
                bindings = self.bindings(container)
                for place in self.places(container):
                    wanted += published(place.network, place.endpoint, bindings)
        await self.firewall.reconcile(networks, wanted)

    def _give_subnet(self, info: NetworkInfo) -> NetworkInfo:
        subnet = ipam.choose_subnet(self.taken_subnets())
        config = [{"subnet": str(subnet), "gateway": str(ipam.gateway(subnet))}]
        spec = {**info.spec, "ipam": {"driver": "default", "config": config}}
        self._engine.db.execute(
            "update networks set spec = ? where id = ?", (json.dumps(spec), info.id)
        )
        return info.replace(spec=spec)

    # ---- a container's start and end

    def plan(self, container: Container) -> Plan:
        """Reserve its ports, take its addresses. PortAllocated, AddressesExhausted, …"""
        reservations: list[tuple[ports.Reservation, int]] = []
        try:
            with self._engine.db.transaction():
                places: list[Place] = []
                for name, settings in container.networking.items():
                    info = self._engine.networks.get(name)
                    if info.driver == "bridge":
                        places.append(self._take(container, info, settings, len(places)))
                if places:
                    for reservation, port in self._reserve(container):
                        reservations.append((reservation, port))
        except BaseException:
            for reservation, _ in reservations:
                reservation.close()
            raise
        return Plan(places=tuple(places), reservations=tuple(reservations))

    def _take(
        self, container: Container, info: NetworkInfo, settings: dict[str, Any], position: int
    ) -> Place:
        db, network = self._engine.db, self.describe(info)
        subnet = IPv4Network(network.subnet)
        in_use = {IPv4Address(network.gateway)} if network.gateway else set()
        rows = db.rows(
            "select address from endpoints where network_id = ? and address is not null"
            " and container_id <> ?",
            (info.id, container.id),
        )
        in_use |= {IPv4Address(row[0]) for row in rows}
        wanted = (settings.get("IPAMConfig") or {}).get("IPv4Address")
        if wanted:
            address = ipam.claim(subnet, in_use, wanted)
        else:
            address = ipam.allocate(info.name, subnet, in_use, after=self._last.get(info.id))
            self._last[info.id] = address
        mac = settings.get("MacAddress") or driver.mac_of(str(address))
        endpoint_id = secrets.token_hex(32)
        db.execute(
            "insert into endpoints (id, container_id, network_id, address, mac, settings)"
            " values (?, ?, ?, ?, ?, ?) on conflict (container_id, network_id) do update set"
            " id = excluded.id, address = excluded.address, mac = excluded.mac",
            (endpoint_id, container.id, info.id, str(address), mac, json.dumps(settings)),
        )
        self.names.changed(info.id)
        return self._place(container, network, str(address), mac, settings, endpoint_id, position)

    def _place(
        self,
        container: Container,
        network: driver.Network,
        address: str,
        mac: str,
        settings: dict[str, Any],
        endpoint_id: str,
        position: int,
    ) -> Place:
        endpoint = driver.Endpoint(
            container_id=container.id,
            name=container.name,
            ipv4=address,
            prefix=IPv4Network(network.subnet).prefixlen,
            mac=mac,
            interface=f"eth{position}",
            aliases=tuple(settings.get("Aliases") or ()),
            default_route=position == 0,
        )
        return Place(network=network, endpoint=endpoint, id=endpoint_id)

    def _reserve(self, container: Container) -> Iterator[tuple[ports.Reservation, int]]:
        """Each published port, bound; and its row."""
        for spec, bindings in wanted_ports(container).items():
            port, protocol = units.port(spec)
            for host_ip, first, last in bindings:
                host_ip = "" if host_ip == "0.0.0.0" else host_ip
                reservation = ports.reserve(host_ip, first, protocol, last=last)
                yield reservation, port
                self._engine.db.execute(
                    "insert or ignore into ports values (?, ?, ?, ?, ?)",
                    (container.id, protocol, port, host_ip, reservation.port),
                )

    def places(self, container: Container) -> list[Place]:
        """Where a container is now, from the rows."""
        rows = self._engine.db.rows(
            "select e.*, n.name as network from endpoints e join networks n on n.id = e.network_id"
            " where e.container_id = ? and e.address is not null order by e.rowid",
            (container.id,),
        )
        found = []
        for position, row in enumerate(rows):
            network = self.describe(self._engine.networks.get(row["network_id"]))
            settings = json.loads(row["settings"])
            found.append(
                self._place(
                    container, network, row["address"], row["mac"], settings, row["id"], position
                )
            )
        return found

    def bindings(self, container: Container) -> list[Binding]:
        rows = self._engine.db.rows("select * from ports where container_id = ?", (container.id,))
        return [
            Binding(
                host_ip=row["host_ip"],
                host_port=row["host_port"],
                container_port=row["container_port"],
                protocol=row["protocol"],
            )
            for row in rows
        ]

    async def connect(self, container: Container, plan: Plan, netns: int) -> None:
        """Interfaces, addresses and translations, all usable on return."""
        for place in plan.places:
            await self.driver.connect(place.network, place.endpoint, netns)
        bindings = self.bindings(container) if plan.reservations else []
        if bindings:
            await publish(self.firewall, plan.places[0].network, plan.places[0].endpoint, bindings)
        if any(place.named for place in plan.places):
            await self.names.open(container, netns)
        for place in plan.places:
            self._event("connect", container, place.network)

    async def release(self, container: Container) -> None:
        """The container is gone, and its links with it."""
        await self.names.close(container)
        places = self.places(container)
        bindings = self.bindings(container)
        if bindings and places:
            await unpublish(self.firewall, places[0].network, places[0].endpoint, bindings)
        with self._engine.db.transaction():
            self._engine.db.execute("delete from endpoints where container_id = ?", (container.id,))
            if bindings:
                self._engine.db.execute("delete from ports where container_id = ?", (container.id,))
        for place in places:
            self.names.changed(place.network.id)
            self._event("disconnect", container, place.network)

    # ---- one network of a running container

    async def attach(
        self, container: Container, info: NetworkInfo, settings: dict[str, Any], netns: int
    ) -> None:
        """`network connect` while it runs; the caller has checked that it is not there yet."""
        position = len(self.places(container))
        with self._engine.db.transaction():
            place = self._take(container, info, settings, position)
        try:
            await self.driver.connect(place.network, place.endpoint, netns)
            if place.named:
                await self.names.open(container, netns)
                text = containerfiles.resolv_conf(container, embedded=True)
                containerfiles.write_file(container, "resolv.conf", text)
        except BaseException:
            self._engine.db.execute("delete from endpoints where id = ?", (place.id,))
            self.names.changed(info.id)
            raise
        self._event("connect", container, place.network)

    async def detach(self, container: Container, info: NetworkInfo) -> None:
        """`network disconnect` while it runs."""
        places = self.places(container)
        for position, place in enumerate(places):
            if place.network.id == info.id:
                if position == 0 and (bindings := self.bindings(container)):
                    await unpublish(self.firewall, place.network, place.endpoint, bindings)
                await self.driver.disconnect(place.network, place.endpoint)
                self._engine.db.execute("delete from endpoints where id = ?", (place.id,))
                self.names.changed(info.id)
                self._event("disconnect", container, place.network)

    def _event(self, action: str, container: Container, network: driver.Network) -> None:
        about = {"container": container.id, "name": network.name, "type": network.driver}
        self._engine.events.publish("network", action, network.id, about)


def wanted_ports(container: Container) -> dict[str, list[tuple[str, int, int]]]:
    """`80/tcp` → (host address, first port, last port) of each binding; port 0: any."""
    host = container.host_config
    wanted: dict[str, list[tuple[str, int, int]]] = {}
    for spec, bindings in (host.get("PortBindings") or {}).items():
        port, protocol = units.port(spec)
        for binding in bindings or [{}]:
            first, last = _range(binding.get("HostPort") or "")
            entry = (binding.get("HostIp") or "", first, last)
            wanted.setdefault(f"{port}/{protocol}", []).append(entry)
    if host.get("PublishAllPorts"):
        for spec in container.config.get("ExposedPorts") or ():
            port, protocol = units.port(spec)
            wanted.setdefault(f"{port}/{protocol}", [("", 0, 0)])
    return wanted


def _range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not text:
        return 0, 0
    if not first.isdigit() or (dash and not last.isdigit()) or int(last or first) > 65535:
        raise errors.InvalidArgument(f"invalid published port: {text}")
    return int(first), int(last or first)
