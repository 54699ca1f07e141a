"""`pause` and `unpause`: the freezer."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
            await in_thread(cgroup.manager(container.cgroup).freeze)
        except FileNotFoundError:  # it has just ended, and its cgroup with it
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
    await in_thread(cgroup.manager(container.cgroup).thaw)
    if container.status == "paused":
        container.status = "running"
        container.save()
