"""`kill`: a signal to PID 1, delivered by the monitor through its pidfd."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from sampan.engine import monitors, units
from sampan.engine.errors import NotRunning
from sampan.kit import errors
from sampan.shim import protocol

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container

_PATIENCE = 2.0  # seconds that a start may take before a kill ends it


async def kill(container: Container, name: str = "") -> None:
    """Docker's `POST /containers/{id}/kill`; SIGKILL also waits for the end."""
    number = units.signal_number(name, signal.SIGKILL)
    await settle(container)
    if container.status == "restarting" and number in (signal.SIGKILL, signal.SIGTERM):
        from sampan.engine.containers import stop

        await stop.stop(container)
        return
    container.require_running()
    if number in (signal.SIGKILL, signal.SIGTERM):
        container.stopped_by_user = True
        container.save()
    await send(container, number)
    if number == signal.SIGKILL:
        from sampan.engine.containers import wait

        await wait.ended(container, seconds=10)


async def settle(container: Container) -> None:
    """Let a start that is under way come to its end; one that hangs before "go" is given up."""
    if container.running or not container.lock.locked():
        return
    try:
        async with asyncio.timeout(_PATIENCE), container.lock:
            return
    except TimeoutError:
        if container.starting is not None:
            container.starting.close()  # its monitor undoes what it made
    async with container.lock:
        return


async def send(container: Container, number: int) -> None:
    """Deliver it; a container that has just ended is NotRunning. Told of first: `kill` precedes the
    `die` that it may bring."""
    if container.status == "paused" and number == signal.SIGKILL:
        from sampan.engine.containers import pause

        await pause.thaw(container)  # v1's freezer holds even SIGKILL back
    container.require_running()
    container.event("kill", signal=str(int(number)))
    try:
        await monitors.ask(
            container.engine.paths.monitor_socket(container.id), protocol.kill(number)
        )
    except (errors.NotFound, errors.Unavailable, errors.Conflict) as error:
        raise NotRunning(container.id) from error
