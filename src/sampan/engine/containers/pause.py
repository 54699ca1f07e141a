"""`pause` and `unpause`: the freezer, by our hand or the container's other runtime's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.engine import monitors, runtimes
from sampan.engine.errors import NotRunning
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.linux import cgroup

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container


async def pause(container: Container) -> None:
    async with container.lock:
        container.require_running()
        if container.status == "paused":
            raise errors.Conflict(f"Container {container.id} is already paused")
        try:
            if runtimes.other(container):
                await monitors.call(container, "pause")
            else:
                await in_thread(cgroup.manager(container.cgroup).freeze)
        except (FileNotFoundError, errors.Unavailable):  # it has just ended, and its cgroup with it
            raise NotRunning(container.id) from None
        container.status = "paused"
        container.save()
    container.event("pause")


async def unpause(container: Container) -> None:
    async with container.lock:
        if container.status != "paused":
            raise errors.Conflict(f"Container {container.id} is not paused")
        await thaw(container)
    container.event("unpause")


async def thaw(container: Container) -> None:
    if runtimes.other(container):
        await monitors.call(container, "resume")
    else:
        await in_thread(cgroup.manager(container.cgroup).thaw)
    if container.status == "paused":
        container.status = "running"
        container.save()
