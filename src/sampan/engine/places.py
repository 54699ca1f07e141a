"""A container's places on networks: the rows of `endpoints`, their addresses and interfaces.

place = allocator.take(container, info, settings, others)     a row is written
places.of(container)                                          where it is now
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from sampan.engine import gateways, network_options
from sampan.engine.given_addresses import Given
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.network import driver, ipam, ports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.network_info import NetworkInfo
    from sampan.network.ipam import Address, Subnet


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


def of(container: Container) -> list[Place]:
    """Where a container is now, from the rows."""
    rows = container.engine.db.rows(
        "select * from endpoints where container_id = ? order by rowid", (container.id,)
    )
    found = [
        _place(container, container.engine.networks.get(row["network_id"]), dict(row))
        for row in rows
    ]
    return list(gateways.marked([p for p in found if p.addressed]))


class Allocator:
    """Gives addresses out of the networks' pools, each network's in turn."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._last: dict[tuple[str, int], Address] = {}  # network, family → the address last given

    def take(
        self,
        container: Container,
        info: NetworkInfo,
        settings: dict[str, Any],
        others: Sequence[Place],
    ) -> Place:
        """A row on this network, inside the caller's transaction. AddressInUse, …"""
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
            "mac": (settings.get("MacAddress") or _usual_mac(info, four or six))
            .lower()
            .replace("-", ":"),
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
        return _place(container, info, row)

    def _address(
        self, container: Container, info: NetworkInfo, version: int, wanted: str | None
    ) -> str | None:
        pool = info.pool(version)
        if pool is None:
            return None  # an address that was asked for in this family is ignored, as by dockerd
        in_use = Given(self._engine.db, info.id, pool, besides=container.id)
        if wanted:
            return str(ipam.claim(pool.subnet, in_use, wanted))
        last = self._last.get((info.id, version))
        parts: Sequence[Subnet | None] = [pool.part]
        if info.spec.get("shared"):
            parts = self._engine.shared.parts(info, pool)
        address = ipam.allocate_from(parts, info.name, pool.subnet, in_use, after=last)
        self._last[info.id, version] = address
        return str(address)


def _place(container: Container, info: NetworkInfo, row: dict[str, Any]) -> Place:
    network = network_options.describe(container.engine.paths, info)
    settings = json.loads(row["settings"])
    endpoint = driver.Endpoint(
        container_id=container.id,
        name=container.name,
        ipv4=row["address"] or "",
        prefix=_prefix(info, 4, row["address"]),
        ipv6=row["address6"] or "",
        prefix6=_prefix(info, 6, row["address6"]),
        mac=row["mac"],
        interface=row["interface"],
        aliases=tuple(settings.get("Aliases") or ()),
        sysctls=network_options.endpoint_options(settings)[1],
    )
    priority = settings.get("GwPriority") or 0
    return Place(network=network, endpoint=endpoint, id=row["id"], priority=priority)


def _usual_mac(info: NetworkInfo, address: str | None) -> str:
    """Plugins choose their own."""
    return "" if info.driver == "cni" else driver.mac_of(address or "0.0.0.0")


def _prefix(info: NetworkInfo, version: int, address: str | None) -> int:
    """Of the network; of the address alone where only plugins know the network."""
    if not address:
        return 0
    pool = info.pool(version)
    return pool.subnet.prefixlen if pool else {4: 32, 6: 128}[version]
