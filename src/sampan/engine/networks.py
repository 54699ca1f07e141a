"""Networks by name: their rows; `engine/host_networks.py` has them on the host.

What a container does with one is in `engine/endpoints.py`; it joins and leaves by
`engine/containers/connecting.py`.
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from sampan.engine import network_configs, network_options, pools
from sampan.engine.errors import AmbiguousId, NoSuchNetwork, NotPermitted
from sampan.engine.filters import Filters
from sampan.engine.network_info import NetworkInfo
from sampan.engine.settings import address_pools
from sampan.engine.shared import POOLS
from sampan.engine.units import moment
from sampan.kit import clock, errors

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.network.ipam import Subnet

PREDEFINED = ("bridge", "host", "none")


class Networks:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def start(self) -> None:
        """The predefined networks exist from the first start on."""
        for name, driver in (("bridge", "bridge"), ("host", "host"), ("none", "null")):
            if self._engine.db.value("select 1 from networks where name = ?", (name,)) is None:
                self._engine.db.execute(
                    "insert into networks (id, name, driver, created, spec) values (?, ?, ?, ?, ?)",
                    (secrets.token_hex(32), name, driver, clock.now(), json.dumps({})),
                )

    def list(self, filters: Filters) -> Sequence[NetworkInfo]:
        """Docker's filters: name, id, driver, label, type (builtin, custom), dangling."""
        for kind in filters.get("type"):
            if kind not in ("builtin", "custom"):
                raise errors.InvalidArgument(f"invalid filter: 'type'='{kind}'")
        found = [_network(row) for row in self._engine.db.rows("select * from networks")]
        return [network for network in found if self._wanted(network, filters)]

    def _wanted(self, network: NetworkInfo, filters: Filters) -> bool:
        kind = "builtin" if network.name in PREDEFINED else "custom"
        unused = kind == "custom" and not self.users(network)
        return (
            filters.match("name", network.name)
            and filters.prefix("id", network.id)
            and filters.exact("driver", network.driver)
            and filters.exact("scope", network.scope)
            and filters.exact("type", kind)
            and filters.labels(network.spec.get("labels"))
            and ("dangling" not in filters or filters.flag("dangling") == unused)
        )

    def users(self, network: NetworkInfo) -> Sequence[Container]:
        """The containers that name it, running or not."""
        names = (network.name, network.id)
        return [c for c in self._engine.containers if any(n in c.networking for n in names)]

    async def create(
        self,
        name: str,
        *,
        driver: str = "bridge",
        asked: Sequence[dict[str, Any]] = (),
        ipam_options: dict[str, str] | None = None,
        ipv4: bool = True,
        ipv6: bool = False,
        internal: bool = False,
        attachable: bool = False,
        options: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
        after: str = "",
    ) -> NetworkInfo:
        """A new network, up and with its rules. Raises AlreadyExists, InvalidArgument, …

        `after`: the configuration that it was made after, for the record (`network_configs`).
        """
        self._check_new(name, driver)
        options = options or {}
        shared = network_options.is_shared(driver, options)

        def build(taken: Sequence[Subnet]) -> NetworkInfo:
            """Given what others have taken, besides this host."""
            given: list[dict[str, Any]] = []
            if driver != "cni":  # whose plugins give addresses out
                given = pools.make(
                    asked,
                    [*self._engine.host_networks.taken_subnets(), *taken],
                    ipv4=ipv4,
                    ipv6=ipv6,
                    seed=secrets.token_hex(8) if shared else self._engine.paths.root,
                    defaults=POOLS if shared else address_pools(self._engine.settings),
                    no_gateway=network_options.no_gateway(driver, options, internal=internal),
                )
            elif asked:
                raise errors.InvalidArgument(
                    "a cni network takes no subnet: its plugins give addresses out"
                )
            spec = {
                "ipam": {"driver": "default", "config": given, "options": ipam_options},
                "ipv4": ipv4,
                "ipv6": ipv6,
                "internal": internal,
                "attachable": attachable,
                "options": options,
                "labels": labels or {},
                **({"after": after} if after else {}),
                "shared": shared,
            }
            found = _new(name, driver, spec)
            self._engine.host_networks.describe(found)  # or it says what is wrong
            return found

        if not shared:
            return await self.adopt(build(()))
        info = await self._engine.shared.define(build)
        try:
            return await self.adopt(info)
        except BaseException:
            await self._engine.shared.withdraw(info)
            raise
        finally:
            self._engine.shared.settled(info)

    async def adopt(self, info: NetworkInfo) -> NetworkInfo:
        """Have a network that is described already: its row, and what the host needs for it."""
        self._check_new(info.name, info.driver)
        self._insert(info)
        try:
            await self._engine.host_networks.ensure(info)
        except BaseException:
            self._engine.db.execute("delete from networks where id = ?", (info.id,))
            raise
        self._event("create", info)
        return info

    def create_configuration(self, name: str, asked: dict[str, Any]) -> NetworkInfo:
        """`--config-only`: `asked` has the words of `create`."""
        self._check_new(name, "bridge")
        info = _new(name, network_configs.DRIVER, network_configs.spec_of(asked))
        self._insert(info)
        return info

    def _insert(self, info: NetworkInfo) -> None:
        self._engine.db.execute(
            "insert into networks (id, name, driver, created, spec) values (?, ?, ?, ?, ?)",
            (info.id, info.name, info.driver, info.created, info.written),
        )

    def _check_new(self, name: str, driver: str) -> None:
        if name in PREDEFINED:
            raise NotPermitted(f"operation is not permitted on predefined {name} network")
        if not name.strip() or "/" in name:
            raise errors.InvalidArgument(f"invalid network name: {name!r} is blank or has a slash")
        if self._engine.db.value("select 1 from networks where name = ?", (name,)):
            raise errors.AlreadyExists(f"network with name {name} already exists")
        if driver in PREDEFINED[1:] or driver == "null":
            raise NotPermitted(f'only one instance of "{driver}" network is allowed')
        self._engine.host_networks.driver_of(driver)

    async def remove(self, name: str) -> None:
        info = self.get(name)
        if info.name in PREDEFINED:
            raise NotPermitted(f"{info.name} is a pre-defined network and cannot be removed")
        rows = self._engine.db.rows(
            "select c.name, e.id from endpoints e join containers c on c.id = e.container_id"
            " where e.network_id = ?",
            (info.id,),
        )
        if users := ", ".join(f'name:"{row["name"]}" id:"{row["id"][:12]}"' for row in rows):
            raise NotPermitted(
                f"error while removing network: network {info.name} has active endpoints ({users})"
            )
        network_configs.check_unused(self._engine, info)
        if not info.spec.get("shared"):
            await self.forget(info)
            return
        await self._engine.shared.withdraw(info)
        try:
            await self.forget(info)
        finally:
            self._engine.shared.settled(info)

    async def forget(self, info: NetworkInfo) -> None:
        """Take its row away, and what the host had for it."""
        if not network_configs.is_one(info):
            await self._engine.host_networks.remove(info)
        self._engine.db.execute("delete from networks where id = ?", (info.id,))
        self._event("destroy", info)

    async def prune(self, filters: Filters) -> Sequence[str]:
        """Remove custom networks that no container names; their names."""
        removed = []
        for info in self.list(Filters({n: filters.get(n) for n in ("label", "label!")})):
            old = all(clock.parse(info.created) < moment(text) for text in filters.get("until"))
            elsewhere = self._engine.shared.mirror.far(info.id)
            if info.name not in PREDEFINED and not self.users(info) and not elsewhere and old:
                await self.remove(info.id)
                removed.append(info.name)
        if removed:
            self._engine.events.publish("network", "prune", "", {"reclaimed": "0"})
        return removed

    def _event(self, action: str, info: NetworkInfo) -> None:
        about = {"name": info.name, "type": info.driver}
        self._engine.events.publish("network", action, info.id, about)

    def get(self, name: str) -> NetworkInfo:
        """By name, by id, or by the start of an id."""
        db = self._engine.db
        row = db.row("select * from networks where ?1 in (name, id) order by id <> ?1", (name,))
        if row is None and name and not set(name) - set("0123456789abcdef"):
            rows = db.rows("select * from networks where id glob ? limit 2", (name + "*",))
            if len(rows) > 1:
                raise AmbiguousId(name)
            row = rows[0] if rows else None
        if row is None:
            raise NoSuchNetwork(name)
        return _network(row)


def _new(name: str, driver: str, spec: dict[str, Any]) -> NetworkInfo:
    return NetworkInfo(
        id=secrets.token_hex(32),
        name=name,
        driver=driver,
        created=clock.now(),
        written=json.dumps(spec),
    )


def _network(row: sqlite3.Row) -> NetworkInfo:
    return NetworkInfo(
        id=row["id"],
        name=row["name"],
        driver=row["driver"],
        created=row["created"],
        written=row["spec"],
    )
