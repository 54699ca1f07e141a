"""`pause`, `unpause`: the freezer, ours or another runtime's; `stilled`: the engine's own."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.engine import monitors, runtimes
from sampan.engine.errors import NotRunning
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.linux import cgroup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sampan.engine.containers.container import Container

log = logging.getLogger("sampan.containers")


async def pause(container: Container) -> None:
    async with container.lock:
        container.require_running()
        if container.status == "paused":
            raise errors.Conflict(f"Container {container.id} is already paused")
        await _freeze(container)


async def _freeze(container: Container) -> None:
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
        await _go_on(container)


async def _go_on(container: Container) -> None:
    await thaw(container)
    container.event("unpause")


@asynccontextmanager
async def stilled(container: Container) -> AsyncIterator[None]:
    """While this lasts a running container is paused; by several at once, until the last is done.

    A mark beside its monitor says that it was us: who is paused when an engine is killed goes on
    with the next (`go_on_after_a_kill`). One that the user paused stays so.
    """
    async with container.lock:
        if container.status == "running":
            _mark(container).touch()
            await _freeze(container)
        container.stills += 1
    try:
        yield
    finally:
        async with container.lock:
            container.stills -= 1
            if container.stills == 0:
                await _end_of_stillness(container)


async def go_on_after_a_kill(container: Container) -> None:
    if _mark(container).exists():
        log.info("container %s was paused by an engine that was killed: it goes on", container.id)
        async with container.lock:
            await _end_of_stillness(container)


async def _end_of_stillness(container: Container) -> None:
    try:
        _mark(container).unlink()
    except FileNotFoundError:  # the user's pause, or it did not run
        return
    if container.status == "paused":
        await _go_on(container)


def _mark(container: Container) -> Path:
    return Path(container.engine.paths.container_run(container.id), "stilled")


async def thaw(container: Container) -> None:
    _mark(container).unlink(missing_ok=True)
    if runtimes.other(container):
        await monitors.call(container, "resume")
    else:
        await in_thread(cgroup.manager(container.cgroup).thaw)
    if container.status == "paused":
        container.status = "running"
        container.save()
