"""The engine: everything that crosses rooms, held by one object.

    engine = Engine(paths, settings)
    await engine.start()        reconnects to what runs, reconciles the rest
    …
    await engine.stop()         containers run on

It may be killed at any instant. What it knows is in the database; what runs is held by the
monitors, to which the next engine connects again.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any

from sampan.engine import (
    cgroups,
    containers,
    images,
    networks,
    sized_layers,
    user_namespaces,
    volumes,
)
from sampan.engine.apparmor import Confinement
from sampan.engine.builds import leftovers
from sampan.engine.containers import stop
from sampan.engine.db import Database
from sampan.engine.endpoints import Endpoints
from sampan.engine.events import Events
from sampan.engine.host_networks import HostNetworks
from sampan.engine.images import mounts
from sampan.engine.pages.client import Pages
from sampan.engine.settings import Settings, registries
from sampan.engine.shared import SharedNetworks
from sampan.engine.spawner import Spawner
from sampan.image import choice
from sampan.image.content import FileStore
from sampan.image.erofs_snapshots import Erofs
from sampan.kit import clock, errors
from sampan.kit.threads import in_thread
from sampan.linux import cgroup
from sampan.linux.cgroup import evacuate, own
from sampan.shim import spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from sampan.kit.paths import Paths

log = logging.getLogger("sampan")


class Engine:
    def __init__(self, paths: Paths, settings: Settings | None = None) -> None:
        self.paths, self.settings = paths, settings or Settings()
        self.registries = registries(self.settings)
        self.cgroup_driver = cgroups.choose(self.settings)
        self.remap = user_namespaces.find(self.settings["userns-remap"])
        for directory in (
            paths.root,
            paths.run,
            f"{paths.root}/containers",
            f"{paths.run}/containers",
        ):
            os.makedirs(directory, mode=0o711, exist_ok=True)
        self.db = Database(paths.database)
        self.events = Events()
        self.started_at = clock.now()
        self.store = FileStore(paths.root)
        self.snapshots = choice.choose(paths.root, self.settings["storage-driver"])
        self.snapshots.collect()
        self.pages = Pages(paths, self.registries)
        if isinstance(self.snapshots, Erofs):
            self.snapshots.device_of = self.pages.device
        self.images = images.Images(self)
        self.volumes = volumes.Volumes(self)
        self.networks = networks.Networks(self)
        self.containers = containers.Containers(self)
        self.shared = SharedNetworks(self)
        self.host_networks = HostNetworks(self)
        self.endpoints = Endpoints(self)
        self.spawner = Spawner(paths)
        self.confinement = Confinement()
        self.stopping = False  # this engine lets go; containers run on
        self.shutting_down = False  # containers end, and are not started again
        self.on_shutdown: Callable[[], None] = lambda: None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Bring up what containers need, and take over those that run."""
        try:
            evacuate.own_root()
        except (OSError, errors.SampanError) as error:
            log.warning("limits will be refused: the engine's cgroup cannot be left: %s", error)
        await in_thread(self.confinement.prepare, self.paths)
        await self.images.start()
        await self.networks.start()
        await self.spawner.start()
        await self.containers.start()
        await leftovers.clear(self)
        await self.volumes.start()
        await self.host_networks.start()
        self.host_networks.follow()
        self.shared.start()

    async def shutdown(self) -> None:
        """End everything: containers are stopped, and nothing of ours is left on the host.

        What is on disk stays, so the next engine has the same containers, images and networks;
        those with a restart policy start with it, as after a reboot.
        """
        self.shutting_down = True
        running = [container for container in self.containers if container.running]
        await asyncio.gather(*(stop.end(container) for container in running))
        await mounts.umount_all(self)
        await self.endpoints.names.retire()
        await self.shared.leave()
        await self.host_networks.teardown()
        await in_thread(spawn.retire, self.paths)
        await in_thread(sized_layers.unmount_all, self)
        self.snapshots.close()
        await in_thread(self.pages.stop)
        try:
            cgroup.manager(self.paths.cgroup_parent).delete()
        except (OSError, errors.SampanError) as error:
            log.warning("the cgroup %s is left behind: %s", self.paths.cgroup_parent, error)
        try:
            await in_thread(own.give_back, self.paths.engine_cgroup)
        except (OSError, errors.SampanError) as error:
            log.warning("the cgroup %s is left behind: %s", self.paths.engine_cgroup, error)
        self.on_shutdown()

    async def stop(self) -> None:
        """Let go of everything; containers and their monitors run on."""
        self.stopping = True
        self.images.stop()
        await self.containers.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.endpoints.names.stop()
        await self.shared.stop()
        self.host_networks.close()
        self.db.close()

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """A background task whose failure is logged, never lost."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("%s failed", task.get_name(), exc_info=error)
