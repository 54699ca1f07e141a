"""The networks as the host has them: drivers, bridges, rules, and what other rooms of it take.

await host_networks.start()                     every bridge and rule as the rows say
driver = host_networks.driver_of("bridge")      ensure, connect, … (`network.driver`)
"""

from __future__ import annotations

import logging
import socket
from ipaddress import ip_interface, ip_network
from typing import TYPE_CHECKING

from sampan.engine import cni, gateways, network_options, places, pools, published_ports
from sampan.engine.filters import Filters
from sampan.engine.settings import address_pools
from sampan.kit import errors
from sampan.linux import netlink
from sampan.linux.nft import Nft
from sampan.network.bridge import BridgeDriver
from sampan.network.cni import CniDriver
from sampan.network.firewall import Firewall
from sampan.network.macvlan import IpvlanDriver, MacvlanDriver
from sampan.network.overlay import OverlayDriver
from sampan.network.publish import published
from sampan.network.watch import Watch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from sampan.engine.engine import Engine
    from sampan.engine.network_info import NetworkInfo
    from sampan.engine.places import Place
    from sampan.network import driver
    from sampan.network.ipam import Subnet
    from sampan.network.overlay import Far

log = logging.getLogger("sampan.networks")
_QUIET = 0.3  # seconds after somebody's change of nftables until we look


class HostNetworks:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.firewall = Firewall(engine.paths.nft_table, Nft())
        self.cni = CniDriver(f"{engine.paths.root}/cni")
        self._going: set[str] = set()  # networks that are being removed
        self._watching: asyncio.Task[None] | None = None
        self._overlay = OverlayDriver(self.firewall)
        self._drivers: dict[str, BridgeDriver | MacvlanDriver | CniDriver] = {
            "cni": self.cni,
            "bridge": BridgeDriver(self.firewall),
            "overlay": self._overlay,
            "macvlan": MacvlanDriver(),
            "ipvlan": IpvlanDriver(),
        }

    def close(self) -> None:
        for one in self._drivers.values():
            one.close()

    async def teardown(self) -> None:
        """Take every bridge and rule off the host; the rows stay."""
        if self._watching is not None:
            self._watching.cancel()
        for info in self._infos():
            await self.driver_of(info.driver).remove(self.describe(info))
        await self.firewall.teardown()

    def driver_of(self, name: str) -> driver.NetworkDriver:
        """Raises NotFound in Docker's words."""
        found = self._drivers.get(name)
        if found is None:
            raise errors.NotFound(f'plugin "{name}" not found')
        return found

    def describe(self, info: NetworkInfo) -> driver.Network:
        """A network's row as the driver wants it."""
        network = network_options.describe(self._engine.paths, info)
        return network.replace(local=self._engine.shared.address) if network.shared else network

    def described(self) -> list[driver.Network]:
        """Those that a driver of ours makes."""
        return [self.describe(info) for info in self._infos()]

    def taken_subnets(self) -> list[Subnet]:
        """What a new network must not overlap: our networks, the host's routes."""
        taken: list[Subnet] = []
        for info in self._engine.networks.list(Filters({})):
            taken += [pool.subnet for version in (4, 6) if (pool := info.pool(version))]
        with netlink.Socket() as sock:
            for family in (socket.AF_INET, socket.AF_INET6):
                for route in sock.routes(family):
                    network = ip_network((route.destination, route.prefix), strict=False)
                    if not network.is_link_local and not network.is_multicast:
                        taken.append(network)
        return taken

    async def ensure(self, info: NetworkInfo) -> None:
        await self.driver_of(info.driver).ensure(self.describe(info))

    def settle(self, info: NetworkInfo, hosts: Iterable[str], far: Iterable[Far]) -> None:
        """A shared network leads to these hosts, and to these containers on them."""
        self._overlay.settle(self.describe(info), hosts, far)

    def tell(
        self, info: NetworkInfo, *, gone: Iterable[Far], come: Iterable[Far], stay: Iterable[Far]
    ) -> None:
        """The same, since the last time. Raises NetworkUnavailable where that does not fit."""
        self._overlay.tell(self.describe(info), gone=gone, come=come, stay=stay)

    def _infos(self) -> list[NetworkInfo]:
        rows = self._engine.db.rows("select name, driver from networks")
        return [self._engine.networks.get(r["name"]) for r in rows if r["driver"] in self._drivers]

    async def start(self) -> None:
        """At engine start: every bridge and rule as the rows say."""
        for info in self._infos():
            if info.name == "bridge" and not (info.spec.get("ipam") or {}).get("config"):
                info = self._give_subnet(info)
            network = self.describe(info)
            with self.firewall.reconciled_later():
                await self._ensure(network)
            if info.driver == "cni":
                try:
                    await cni.collect(self._engine, network)
                except errors.SampanError as error:
                    log.warning("network %s: %s", network.name, error)
        await self._reconcile()

    def follow(self) -> None:
        """Put right what others break from now on."""
        self._watching = self._engine.spawn(self._watch(), "rules")

    async def _reconcile(self) -> None:
        """Every rule as the rows say, also of what is starting just now; not of what is going."""
        here = [network for network in self.described() if network.id not in self._going]
        wanted = []
        for container in self._engine.containers:
            if place := gateways.main(places.of(container)):
                wanted += published(place.network, place.endpoint, published_ports.of(container))
        await self.firewall.reconcile([network for network in here if network.bridged], wanted)

    async def _watch(self) -> None:
        """What others change in nftables may take rules of ours along, or ask for one more."""
        with Watch(quiet=_QUIET) as watch:
            while True:
                await watch.changed()
                try:
                    await self._reconcile()
                except errors.SampanError as error:
                    log.warning("the rules could not be looked at: %s", error)

    async def remove(self, info: NetworkInfo) -> None:
        """Off the host; the caller deletes the row at once, without letting others run before."""
        self._going.add(info.id)
        try:
            await self.driver_of(info.driver).remove(self.describe(info))
        finally:
            self._going.discard(info.id)

    async def _ensure(self, network: driver.Network) -> None:
        """One network that cannot be must not keep the engine from starting."""
        try:
            await self.driver_of(network.driver).ensure(network)
        except errors.SampanError as error:
            if network.name == "bridge":
                raise
            log.warning("network %s is not usable: %s", network.name, error)

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
        info = info.with_spec(spec)
        self._engine.db.execute(
            "update networks set spec = ? where id = ?", (info.written, info.id)
        )
        return info

    async def give_back(self, place: Place) -> None:
        """The addresses that a cni network's plugins gave to one who is gone."""
        try:
            await self.cni.disconnect(place.network, place.endpoint, -1)
        except errors.SampanError as error:  # the next engine start collects it
            log.warning("network %s: %s", place.network.name, error)
