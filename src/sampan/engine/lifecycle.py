"""What happens to a container between its start and its removal, without anybody asking.

One task a running container follows its monitor (`_follow`): exec exits, OOM kills, the exit. After
the exit comes, in this order: the state is written, `die` is published, the network's rows are
released, waiters wake; then the restart policy or auto-remove. A crash between any two is made
good by `reconcile`, which finds the exit record in the bundle.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
from typing import TYPE_CHECKING, Any

from sampan.engine import cgroups, containerfiles, health, runtimes
from sampan.engine.containers import mount_events
from sampan.kit import clock, errors
from sampan.kit.threads import in_thread
from sampan.shim import oci_program

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container
    from sampan.engine.monitors import Connection, Message

log = logging.getLogger("sampan.lifecycle")

FIRST_BACKOFF, LAST_BACKOFF = 0.1, 60.0  # seconds, doubling
STEADY = 10.0  # running this long resets the back-off
KILLED, UNKNOWN = 137, 255  # a monitor that was killed; a machine that was rebooted


@functools.cache
def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def started(container: Container, connection: Connection, pid: int, started_at: str) -> None:
    """The process runs: write it down, and follow its monitor from here on."""
    container.status, container.pid, container.boot_id = "running", pid, boot_id()
    container.started_at, container.finished_at = started_at, clock.ZERO
    container.exit_code, container.oom_killed = 0, False
    container.save()
    container.event("start")
    follow(container, connection)
    containerfiles.relink(container)
    if container.waiting:
        from sampan.engine.containers import attach

        container.engine.spawn(attach.late(container), f"attaching to {container.id[:12]}")


def follow(container: Container, connection: Connection) -> None:
    container.monitor = connection
    health.begin(container)
    container.engine.spawn(_follow(container, connection), f"monitor of {container.id[:12]}")


async def _follow(container: Container, connection: Connection) -> None:
    record: Message | None = None
    try:
        while record is None:
            message, fds = await connection.receive()
            for fd in fds:
                os.close(fd)
            if message is None:
                break
            if message.get("event") == "exit":
                record = message
            else:
                _heard(container, message)
    finally:
        connection.detach()
    if container.engine.stopping:
        return
    if record is None:
        from sampan.engine.containers import reconcile

        record = reconcile.exit_record(container) or await lost(container)
    await exited(container, record)


def _heard(container: Container, message: Message) -> None:
    event = message.get("event")
    if event == "exec_exit":
        found = container.execs.get(message["exec_id"])
        if found is not None:
            found.finished(message["exit_code"])
    elif event == "oom":
        container.oom_killed = True
        container.event("oom")
    elif event == "detach" and (exec_id := message.get("exec_id")):
        container.event("exec_detach", execID=exec_id)
    elif event == "detach":
        container.event("detach")


async def lost(container: Container) -> dict[str, Any]:
    """The record of a container whose monitor left none; its cgroup is removed here instead."""
    try:
        if program := runtimes.other(container):
            await in_thread(oci_program.delete, program)
        await in_thread(cgroups.end, container)
    except (errors.SampanError, OSError) as error:
        log.warning("cgroup of %s: %s", container.name, error)
    code = KILLED if container.boot_id == boot_id() else UNKNOWN
    return {"exit_code": code, "oom_killed": False, "exited_at": clock.now()}


async def exited(container: Container, record: dict[str, Any]) -> None:
    """The container has ended, now or while no engine ran."""
    container.monitor = None
    health.end(container)
    for running in container.execs.values():
        running.finished(record["exit_code"])
    container.status, container.pid = "exited", 0
    container.exit_code = record["exit_code"]
    container.oom_killed = container.oom_killed or bool(record.get("oom_killed"))
    container.finished_at = record["exited_at"]
    seconds = (clock.parse(container.finished_at) - clock.parse(container.started_at)) / 1e9
    again = _wants_restart(container, seconds)
    if again:
        container.status = "restarting"
        container.restart_count += 1
    container.save()
    container.event(
        "die", exitCode=str(container.exit_code), execDuration=str(max(0, int(seconds)))
    )
    try:
        await container.engine.endpoints.release(container)
    except errors.SampanError:
        log.exception("releasing the network of %s", container.id)
    await container.engine.volumes.detach(container)
    mount_events.tell(container, "unmount")
    container.exits += 1
    await container.notify()
    if again:
        schedule_restart(container)
    elif container.auto_remove:
        await remove_finished(container)


def _wants_restart(container: Container, seconds: float) -> bool:
    """Docker's restart policies; also sets the back-off."""
    if container.engine.shutting_down:
        return False
    policy = container.host_config.get("RestartPolicy") or {}
    name, most = policy.get("Name") or "no", policy.get("MaximumRetryCount") or 0
    if container.stopped_by_user or container.removed or container.status == "removing":
        return False
    if seconds >= STEADY:
        container.backoff, container.restart_count = FIRST_BACKOFF, 0
    if name == "on-failure":
        tries_left = not most or container.restart_count < most
        return container.exit_code != 0 and tries_left
    return name in ("always", "unless-stopped")


def retries(container: Container) -> bool:
    """Whether the policy also repeats a start of its own that failed: something that it needs (a
    port, a peer's namespace, a disk) may be there in a moment."""
    container.exit_code = container.exit_code or KILLED
    return _wants_restart(container, 0.0)


def schedule_restart(container: Container) -> None:
    container.restarting = container.engine.spawn(
        restart_later(container), f"restart of {container.id[:12]}"
    )


async def restart_later(container: Container) -> None:
    """Start it again after its back-off, unless somebody says otherwise meanwhile."""
    from sampan.engine.containers import start

    delay = container.backoff
    container.backoff = min(delay * 2, LAST_BACKOFF)
    try:
        await asyncio.sleep(delay)
        async with container.lock:
            if container.status != "restarting" or container.removed:
                return
            container.restarting = None
            await start.launch(container, by_policy=True)
    except asyncio.CancelledError:
        if container.status == "restarting" and not container.engine.stopping:
            container.status = "exited"
            container.save()
        raise
    except errors.SampanError as error:
        log.warning("restart of %s: %s", container.name, error)
        await container.notify()
        if container.status == "restarting" and not container.engine.stopping:
            schedule_restart(container)


async def remove_finished(container: Container) -> None:
    """`--rm`: with its anonymous volumes."""
    from sampan.engine.containers import remove

    try:
        await remove.remove(container, volumes=True, files_later=True)
    except errors.SampanError as error:
        log.warning("auto-remove of %s: %s", container.name, error)
