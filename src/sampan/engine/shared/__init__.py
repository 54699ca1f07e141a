"""Overlay networks that several hosts share, by what they tell each other in a network store.

    shared.start()                        follow the store, if there is something to follow
    info = await shared.define(build)     a new network that nobody else has; `withdraw` undoes it
    await shared.prepare(info, asked)     addresses to give, before a container's place is taken
    shared.changed(network, container)    its endpoint here is new, another or gone

Everything that must be fast reads the mirror: addresses come out of parts of the subnet that this
host has claimed, and what a start changes is told to the store behind its back (`following`). Cut
off, the host goes on with the mirror; networks cannot be made or removed then.
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from sampan.engine.errors import NotPermitted
from sampan.engine.given_addresses import Given
from sampan.engine.shared import choice
from sampan.engine.shared.following import Following
from sampan.engine.shared.mirror import Mirror
from sampan.kit import errors
from sampan.network import errors as network_errors
from sampan.network import ipam
from sampan.network.overlay import VNI
from sampan.network.shared import keys, parts
from sampan.network.shared.store import Life, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sampan.engine.engine import Engine
    from sampan.engine.network_info import NetworkInfo
    from sampan.engine.pools import Pool
    from sampan.network.ipam import Address, Subnet

POOLS = ((ip_network("10.0.0.0/8"), 24),)  # of overlay networks, as Docker's
_FIRST_NUMBER = 4097  # of VXLANs, as Docker's
_LOW = 16  # free addresses, at most, at which the next part is asked for
_TRIES = 10
_ENDS = 2  # of a subnet, which belong to nobody


class SharedNetworks:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._choice = choice.parse(engine.settings)
        self.mirror = Mirror(engine.db)
        self._following = Following(engine, self.mirror, self._choice)
        self._claiming = asyncio.Lock()

    @property
    def address(self) -> str:
        """Where the other hosts send frames; "" where there are none."""
        return self._following.address

    def start(self) -> None:
        rows = self._engine.db.rows("select id from networks where driver = 'overlay'")
        self._following.settle(self.mirror.known.definitions())  # after a reboot, tunnels are empty
        if self._choice.asked or any(self.mirror.defined(row["id"]) for row in rows):
            self._following.start()

    async def stop(self) -> None:
        """The other hosts go on knowing us for a while: the next engine takes over."""
        await self._following.stop()

    async def leave(self) -> None:
        await self._following.leave()

    # ---- networks

    async def define(self, build: Callable[[list[Subnet]], NetworkInfo]) -> NetworkInfo:
        """What `build` makes, given the subnets that are taken, once nobody else has it.

        Raises AlreadyExists, NoSubnet, StoreUnavailable.
        """
        store = await self._following.online()
        for _ in range(_TRIES):
            definitions = self.mirror.known.definitions()
            taken = [s for one in definitions.values() for s in _subnets(one.spec)]
            info = build(taken)
            if any(one.name == info.name for one in definitions.values()):
                raise errors.AlreadyExists(
                    f"network with name {info.name} already exists on another host"
                )
            info = self._numbered(info)
            written = keys.Definition(name=info.name, created=info.created, spec=info.spec)
            values = keys.unique(info.id, info.name, _subnets(info.spec), number(info))
            values[keys.definition(info.id)] = keys.text(written)
            self._following.own(info.id)
            try:
                if await store.claim(values, Life.FOREVER):
                    self.mirror.apply(dict(values))
                    return info
            except BaseException:
                self._following.disown(info.id)
                raise
            self._following.disown(info.id)
            await self._following.refresh()
        raise errors.Conflict("other hosts make networks all the time: try again")

    def _numbered(self, info: NetworkInfo) -> NetworkInfo:
        options = dict(info.spec["options"])
        used = set(_numbers(self.mirror.content))
        if options.get(VNI):
            if int(options[VNI]) in used:
                raise errors.Conflict(f"another network has the number {options[VNI]} ({VNI})")
        else:
            options[VNI] = str(next(n for n in range(_FIRST_NUMBER, 1 << 24) if n not in used))
        return info.with_spec({**info.spec, "options": options})

    def settled(self, info: NetworkInfo) -> None:
        """Its row stands, or has been taken away: hear of it from the others again."""
        self._following.disown(info.id)
        self._following.settle([info.id])

    async def withdraw(self, info: NetworkInfo) -> None:
        """Nobody shall have it any more. Raises NotPermitted, StoreUnavailable."""
        if far := self.mirror.far(info.id):
            hosts = self.mirror.others()
            names = sorted({hosts[e.host].name for e in far.values() if e.host in hosts})
            raise NotPermitted(
                f"error while removing network: network {info.name} has active endpoints on "
                + (", ".join(names) or "another host")
            )
        store = await self._following.online()
        self._following.own(info.id)
        gone = self.mirror.known.of(info.id)
        try:
            await store.delete(gone)
        except BaseException:
            self._following.disown(info.id)
            raise
        self.mirror.apply(dict.fromkeys(gone))

    def peers(self, network: str) -> Iterator[tuple[str, str]]:
        """Names and addresses of the hosts that have it; ours first."""
        if self.mirror.defined(network):
            hosts = self.mirror.known.hosts()
            for identity in sorted(hosts, key=lambda one: (one != self.mirror.identity, one)):
                yield hosts[identity].name, hosts[identity].address

    def trouble(self) -> str | None:
        return self._following.trouble()

    # ---- addresses

    def parts(self, info: NetworkInfo, pool: Pool) -> list[Subnet]:
        """Whence this host gives addresses."""
        area = pool.part or pool.subnet
        mine = [p for p in self.mirror.own_parts(info.id) if p.version == area.version]
        return [max(p, area, key=lambda s: s.prefixlen) for p in mine if p.overlaps(area)]

    async def prepare(self, info: NetworkInfo, asked: dict[str, Any]) -> None:
        """Raises AddressesExhausted, AddressInUse, StoreUnavailable."""
        if not info.spec.get("shared"):
            return
        for version, name in ((4, "IPv4Address"), (6, "IPv6Address")):
            pool = info.pool(version)
            if pool is not None and asked.get(name):
                wanted = ipam.inside(pool.subnet, asked[name], "address")
                await self._have(info, pool, wanted)
            elif pool is not None:
                await self._have_some(info, pool)

    async def _have_some(self, info: NetworkInfo, pool: Pool) -> None:
        left, enough = self._left(info, pool)
        while left < enough:
            async with self._claiming:
                left, enough = self._left(info, pool)
                if left >= enough:
                    return
                held = self.mirror.known.parts(info.id)
                area = pool.part or pool.subnet
                try:
                    part = parts.free(info.name, area, pool.subnet, held)
                    await self._claim(info, part)
                except (network_errors.AddressesExhausted, StoreUnavailable):
                    if not left:
                        raise
                    return
                left, enough = self._left(info, pool)

    async def _have(self, info: NetworkInfo, pool: Pool, wanted: Address) -> None:
        part = parts.around(pool.subnet, wanted)
        async with self._claiming:
            holder = self.mirror.known.parts(info.id).get(part)
            if holder is None:
                await self._claim(info, part)
                holder = self.mirror.known.parts(info.id).get(part)
        if holder != self.mirror.identity:
            host = self.mirror.known.hosts().get(str(holder))
            raise network_errors.AddressInUse(
                f"address {wanted} of network {info.name} is in {part}, which is given out by "
                + (f"host {host.name}" if host else "a host that is away")
            )

    async def _claim(self, info: NetworkInfo, part: Subnet) -> None:
        """It is in the mirror afterwards, ours or another host's."""
        store = await self._following.online()
        key = keys.part(info.id, part)
        if await store.claim({key: self.mirror.identity}, Life.ADDRESSES):
            self.mirror.apply({key: self.mirror.identity})
        else:
            await self._following.refresh()

    def _left(self, info: NetworkInfo, pool: Pool) -> tuple[int, int]:
        """(free addresses here, how many there should be)."""
        in_use = Given(self._engine.db, info.id, pool)
        mine = self.parts(info, pool)
        size = 1 << (pool.subnet.max_prefixlen - parts.size(pool.subnet))
        enough = max(1, min(_LOW, size // 4))
        at_least = sum(part.num_addresses for part in mine) - len(in_use) - _ENDS
        if at_least >= enough:
            return at_least, enough
        return sum(parts.usable(pool.subnet, part, in_use) for part in mine), enough

    # ---- endpoints

    def changed(self, network: str, container: str) -> None:
        self._following.changed(network, container)

    def far(self, network: str) -> list[tuple[str, str]]:
        """(network, container) of everybody on other hosts."""
        return [(network, one) for one in self.mirror.far(network)]


def number(info: NetworkInfo) -> int:
    return int(info.spec["options"][VNI])


def _subnets(spec: dict[str, Any]) -> list[Subnet]:
    found: Sequence[dict[str, Any]] = (spec.get("ipam") or {}).get("config") or ()
    return [ip_network(pool["subnet"]) for pool in found]


def _numbers(content: dict[str, str]) -> Iterator[int]:
    for key in content:
        kind, _, rest = key.partition("/")
        if kind == "numbers" and rest.isdigit():
            yield int(rest)
