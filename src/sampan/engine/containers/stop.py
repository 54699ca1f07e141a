"""`stop` and `restart`: the stop signal, patience, then SIGKILL.

A PID 1 that has no handler for the signal never learns of it: to wait for its end would be to wait
for nothing. That is said, and where nobody asked for a certain patience, it is killed at once.
"""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING

from sampan.engine import oci, units
from sampan.engine.containers import kill, start, wait
from sampan.engine.errors import NotModified, NotRunning
from sampan.kit import errors
from sampan.linux import proc

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container

log = logging.getLogger("sampan.stop")

AFTER_KILL = 10


async def stop(
    container: Container, patience: int | None = None, signal_name: str | None = None
) -> str:
    """Docker's `POST /containers/{id}/stop`; `patience` in seconds, -1: for ever.

    Returns what the user should know about it, mostly nothing.
    """
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
            return ""
        if not container.running:
            raise NotModified(f"container {container.id} is not running")
        container.stopped_by_user = True
        container.save()
    note = await _stop(container, patience, signal_name)
    container.event("stop")
    return note


async def end(container: Container) -> None:
    """Stop it with the engine: nobody's wish, so that its restart policy holds next time."""
    await _stop(container, None, None)


async def _stop(container: Container, patience: int | None, signal_name: str | None) -> str:
    number = units.signal_number(signal_name, oci.stop_signal(container.config))
    if patience is None:
        patience = container.config.get("StopTimeout")
    if container.status == "paused":
        from sampan.engine.containers import pause

        await pause.thaw(container)
    note = ""
    if patience != 0 and _ignores(container, number):
        note = _deaf(container, number, patience)
        log.warning("%s", note)
        patience = 0 if patience is None else patience
    if patience is None:
        patience = oci.STOP_TIMEOUT
    try:
        await kill.send(container, number)
        if await wait.ended(container, None if patience < 0 else patience):
            return note
        await kill.send(container, signal.SIGKILL)
    except NotRunning:
        pass
    if not await wait.ended(container, AFTER_KILL):
        raise errors.Unavailable(
            f"cannot stop container: {container.id}: it is still there {AFTER_KILL} seconds "
            "after SIGKILL"
        )
    return note


def _ignores(container: Container, number: int) -> bool:
    try:
        return proc.ignores(container.pid, number)
    except (FileNotFoundError, ProcessLookupError):
        return False


def _deaf(container: Container, number: int, patience: int | None) -> str:
    name = signal.Signals(number).name if number in list(signal.Signals) else f"signal {number}"
    then = "so it was killed at once" if patience is None else f"and had {patience} s all the same"
    return (
        f"{container.name}: PID 1 does not handle {name}, {then} "
        "(run it with --init, handle the signal, or name another with --stop-signal)"
    )


async def restart(
    container: Container, patience: int | None = None, signal_name: str | None = None
) -> str:
    """Stop it if it runs, then start it; `--rm` does not remove it in between."""
    auto_remove = container.host_config.get("AutoRemove")
    container.host_config["AutoRemove"] = False
    note = ""
    try:
        if container.running:
            note = await stop(container, patience, signal_name)
        await start.start(container)
    finally:
        container.host_config["AutoRemove"] = auto_remove
    container.event("restart")
    return note
