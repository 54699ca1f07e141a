"""`stop` and `restart`: the stop signal, patience, then SIGKILL."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from sampan.engine import oci, units
from sampan.engine.containers import kill, start, wait
from sampan.engine.errors import NotModified, NotRunning
from sampan.kit import errors

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container

TIMEOUT = 10  # seconds, Docker's
AFTER_KILL = 10


async def stop(
    container: Container, patience: int | None = None, signal_name: str | None = None
) -> None:
    """Docker's `POST /containers/{id}/stop`; `patience` in seconds, -1: for ever."""
    # A start that is under way is waited for. The lock is not held while the process takes its
    # time to end: `kill` and `rm -f` are for the impatient.
    await kill.settle(container)
    async with container.lock:
        if container.status == "restarting" and container.restarting is not None:
            container.stopped_by_user = True
            container.restarting.cancel()
            container.restarting = None
            container.status = "exited"
            container.save()
            await container.notify()
            return
        if not container.running:
            raise NotModified(f"container {container.id} is not running")
        container.stopped_by_user = True
        container.save()
    await _stop(container, patience, signal_name)
    container.event("stop")


async def end(container: Container) -> None:
    """Stop it with the engine: nobody's wish, so that its restart policy holds next time."""
    await _stop(container, None, None)


async def _stop(container: Container, patience: int | None, signal_name: str | None) -> None:
    number = units.signal_number(signal_name, oci.stop_signal(container.config))
    if patience is None:
        configured = container.config.get("StopTimeout")
        patience = TIMEOUT if configured is None else configured
    if container.status == "paused":
        from sampan.engine.containers import pause

        await pause.thaw(container)
    try:
        await kill.send(container, number)
        container.event("kill", signal=str(int(number)))
        if await wait.ended(container, None if patience < 0 else patience):
            return
        await kill.send(container, signal.SIGKILL)
        container.event("kill", signal=str(int(signal.SIGKILL)))
    except NotRunning:
        pass
    if not await wait.ended(container, AFTER_KILL):
        raise errors.Unavailable(
            f"cannot stop container: {container.id}: it is still there {AFTER_KILL} seconds "
            "after SIGKILL"
        )


async def restart(
    container: Container, patience: int | None = None, signal_name: str | None = None
) -> None:
    """Stop it if it runs, then start it; `--rm` does not remove it in between."""
    auto_remove = container.host_config.get("AutoRemove")
    container.host_config["AutoRemove"] = False
    try:
        if container.running:
            await stop(container, patience, signal_name)
        await start.start(container)
    finally:
        container.host_config["AutoRemove"] = auto_remove
    container.event("restart")
