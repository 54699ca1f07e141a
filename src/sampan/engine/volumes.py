"""Named and anonymous volumes: their names, labels, users; the bytes are a VolumeDriver's.

    volume = volumes.ensure("data", options={"type": "tmpfs", "device": "tmpfs"})
    await volumes.attach(container)     before it starts: mounted, if no other uses it yet
    await volumes.detach(container)     after it ended: unmounted, if it was the last
    async with volumes.held(name): …    the same for what the engine itself does with the files

Who uses a volume is derived, never counted: the rows of `mounts` whose container runs, and what is
under way in this process. So a count cannot be wrong after a crash; `start` compares the rows with
the kernel's mounts and makes good both ways.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from sampan.engine.errors import NoSuchVolume
from sampan.engine.volume_drivers import Wanted
from sampan.engine.volume_drivers.local import Local
from sampan.kit import clock, errors
from sampan.kit.record import Record
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Mapping, Sequence

    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.filters import Filters
    from sampan.engine.volume_drivers import VolumeDriver

log = logging.getLogger("sampan.volumes")

ANONYMOUS = "com.docker.volume.anonymous"  # the label that dockerd gives them (API 1.42)
NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


class Volume(Record):
    name: str
    driver: str
    created: str
    labels: dict[str, str]
    options: dict[str, str]
    anonymous: bool
    mountpoint: str
    scope: str = "local"

    @property
    def wanted(self) -> Wanted:
        return Wanted(name=self.name, options=self.options)


class InUse(errors.Conflict):
    def __init__(self, name: str, users: Sequence[str]) -> None:
        super().__init__(f"remove {name}: volume is in use - [{', '.join(users)}]")


class NameConflict(errors.Conflict):
    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"create {name}: volume name must be unique: {why}")


class Volumes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        local = Local(engine.paths.root)
        self.drivers: dict[str, VolumeDriver] = {local.name: local}
        self._locks: dict[str, asyncio.Lock] = {}
        self._going: set[str] = set()  # being removed
        self._holders: dict[str, set[str]] = {}  # what is under way: volume → container ids, tasks

    def get(self, name: str) -> Volume:
        row = self._engine.db.row("select * from volumes where name = ?", (name,))
        if row is None or name in self._going:
            raise NoSuchVolume(name)
        return self._volume(row)

    def ensure(
        self,
        name: str = "",
        *,
        driver: str = "local",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Volume:
        """The volume of that name, made if need be; without a name, a new anonymous one."""
        anonymous = not name
        name = name or secrets.token_hex(32)
        if name in self._going:
            raise errors.Conflict(f"volume {name} is being removed")
        row = self._engine.db.row("select * from volumes where name = ?", (name,))
        if row is not None:
            return _same(self._volume(row), driver or "local", dict(options or {}))
        wanted = Wanted(name=name, options=dict(options or {}))
        try:
            if not NAME.fullmatch(name):
                raise errors.InvalidArgument(
                    f'"{name}" includes invalid characters for a local volume name, only '
                    '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host '
                    "directory, use absolute path"
                )
            behind = self._driver(driver or "local")
            behind.create(wanted)
        except errors.SampanError as error:
            raise errors.within(f"create {name}", error) from error
        self._engine.db.execute(
            "insert into volumes (name, driver, created, labels, options, anonymous)"
            " values (?, ?, ?, ?, ?, ?)",
            (
                name,
                behind.name,
                clock.now(),
                json.dumps({**(labels or {}), **({ANONYMOUS: ""} if anonymous else {})}),
                json.dumps(wanted.options),
                anonymous,
            ),
        )
        self._engine.events.publish("volume", "create", name, {"driver": behind.name})
        return self.get(name)

    def _driver(self, name: str) -> VolumeDriver:
        if name not in self.drivers:
            raise errors.NotFound(
                f'error looking up volume plugin {name}: plugin "{name}" not found'
            )
        return self.drivers[name]

    def status(self, volume: Volume) -> dict[str, Any]:
        return self._driver(volume.driver).status(volume.wanted)

    def list(self, filters: Filters) -> Sequence[Volume]:
        """By name; Docker's filters name, label, driver, dangling."""
        filters.accept("name", "label", "label!", "driver", "dangling")
        dangling = filters.flag("dangling") if "dangling" in filters else None
        rows = self._engine.db.rows("select * from volumes order by name")
        return [
            volume
            for volume in map(self._volume, rows)
            if filters.match("name", volume.name)
            and filters.exact("driver", volume.driver)
            and filters.labels(volume.labels)
            and (dangling is None or dangling != bool(self.users(volume.name)))
        ]

    def unused(self) -> Sequence[Volume]:
        """Those that no container names."""
        rows = self._engine.db.rows(
            "select * from volumes where name not in (select volume from mounts) order by name"
        )
        return [self._volume(row) for row in rows]

    def users(self, name: str) -> Sequence[str]:
        rows = self._engine.db.rows("select container_id from mounts where volume = ?", (name,))
        return [row[0] for row in rows]

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove it and its data. `force`: one that does not exist is no error.

        The data goes first: killed in between, an engine has a volume that can be removed again.
        """
        try:
            volume = self.get(name)
        except NoSuchVolume:
            if force:
                return
            raise
        if users := self.users(name):
            raise InUse(name, users)
        if holders := self._holders.get(name):
            raise InUse(name, sorted(holders))
        self._going.add(name)
        try:
            async with self._locks.setdefault(name, asyncio.Lock()):
                await in_thread(self._driver(volume.driver).remove, volume.wanted)
            self._engine.db.execute("delete from volumes where name = ?", (name,))
        finally:
            self._going.discard(name)
        self._locks.pop(name, None)
        self._engine.events.publish("volume", "destroy", name, {"driver": volume.driver})

    # ---- mounting: from the first user to the last

    async def start(self) -> None:
        """Mount what containers that run use, unmount what none does. After the containers are
        reconciled: their rows say who runs."""
        mounted = {name for driver in self.drivers.values() for name in driver.mounted()}
        for row in self._engine.db.rows("select * from volumes"):
            volume = self._volume(row)
            lasting = self._driver(volume.driver).lasting(volume.wanted)
            if not lasting and (volume.name in mounted or self._running(volume.name)):
                try:
                    await self._settle(volume)
                except (errors.SampanError, OSError) as error:
                    log.warning("volume %s: %s", volume.name, error)

    async def attach(self, container: Container) -> None:
        """Its volumes are mounted, all or none."""
        try:
            for name in _names(container):
                await self._hold(self.get(name), container.id)
        except BaseException:
            await self.detach(container)
            raise

    async def detach(self, container: Container) -> None:
        for name in _names(container):
            try:
                await self._release(self.get(name), container.id)
            except (errors.SampanError, OSError) as error:
                log.warning("volume %s stays mounted: %s", name, error)

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[Volume]:
        """The volume with its files at the mountpoint; it cannot be removed meanwhile."""
        volume, holder = self.get(name), f"task-{secrets.token_hex(4)}"
        await self._hold(volume, holder)
        try:
            yield volume
        finally:
            await self._release(volume, holder)

    @asynccontextmanager
    async def held_for(self, container: Container) -> AsyncIterator[None]:
        """All of a container's, whether it runs or not."""
        async with AsyncExitStack() as stack:
            for name in _names(container):
                await stack.enter_async_context(self.held(name))
            yield

    async def _hold(self, volume: Volume, holder: str) -> None:
        self._holders.setdefault(volume.name, set()).add(holder)
        try:
            await self._settle(volume)
        except BaseException:
            self._forget(volume.name, holder)
            raise

    async def _release(self, volume: Volume, holder: str) -> None:
        self._forget(volume.name, holder)
        await self._settle(volume)

    def _forget(self, name: str, holder: str) -> None:
        holders = self._holders.get(name, set())
        holders.discard(holder)
        if not holders:
            self._holders.pop(name, None)

    async def _settle(self, volume: Volume) -> None:
        """Mounted if anybody uses it now, unmounted if nobody does. One at a time for a volume, and
        who uses it is asked when its turn has come."""
        driver, wanted = self._driver(volume.driver), volume.wanted
        if driver.lasting(wanted):
            return
        async with self._locks.setdefault(volume.name, asyncio.Lock()):
            used = bool(self._holders.get(volume.name)) or self._running(volume.name)
            await in_thread(driver.mount if used else driver.unmount, wanted)

    def _running(self, name: str) -> bool:
        found = self._engine.db.value(
            "select count(*) from mounts join containers on id = container_id"
            " where volume = ? and status in ('running', 'paused')",
            (name,),
        )
        return bool(found)

    def _volume(self, row: sqlite3.Row) -> Volume:
        return Volume(
            name=row["name"],
            driver=row["driver"],
            created=row["created"],
            labels=json.loads(row["labels"]),
            options=json.loads(row["options"]),
            anonymous=bool(row["anonymous"]),
            mountpoint=self._driver(row["driver"]).mountpoint(row["name"]),
            scope=self._driver(row["driver"]).scope,
        )


def _same(volume: Volume, driver: str, options: dict[str, str]) -> Volume:
    """What exists, if it is what was asked for; to ask by the name alone is always right."""
    if driver != volume.driver:
        raise NameConflict(volume.name, f"it exists with driver {volume.driver}")
    if options and options != volume.options:
        exists = ", ".join(f"{k}={v}" for k, v in volume.options.items()) or "no options"
        raise NameConflict(volume.name, f"it exists with other options ({exists})")
    return volume


def _names(container: Container) -> Sequence[str]:
    """Each once: a volume can be mounted at several places."""
    return sorted({point["Name"] for point in container.mounts if point["Type"] == "volume"})
