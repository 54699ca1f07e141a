"""What the next engine does with what the former one left.

For every row that says "running": ask its monitor. One that answers is followed again, and if it
has ended meanwhile its exit record says how. A monitor that is gone took its container along;
without a record the exit code is 137, or 255 after a reboot. Then the restart policies, the `--rm`
ones that have ended, and directories that no row names.
"""

from __future__ import annotations

import json
import logging
import os
from typing import TYPE_CHECKING, Any

from sampan.engine import cgroups, lifecycle, monitors
from sampan.engine.containers import pause, remove
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.shim import protocol

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine

log = logging.getLogger("sampan.reconcile")


async def reconcile(engine: Engine) -> None:
    for container in engine.containers:
        try:
            await _one(container)
        except errors.SampanError:
            log.exception("container %s is set aside", container.id)
    _release_stale(engine)
    try:
        await engine.endpoints.names.take_over()
    except errors.SampanError:
        log.exception("names are not served")
    # Looked up before the API answers, so that no create that is under way is among them.
    if left := orphans(engine):
        engine.spawn(in_thread(_sweep, engine, left), "sweep")


def _release_stale(engine: Engine) -> None:
    """Addresses and ports of a start that was cut short; the firewall is reconciled after this."""
    with engine.db.transaction():
        for container in engine.containers:
            if not container.running:
                engine.db.execute("delete from endpoints where container_id = ?", (container.id,))
                engine.db.execute("delete from ports where container_id = ?", (container.id,))


async def _one(container: Container) -> None:
    if container.running or _has_monitor(container):
        await _reconnect(container)
    elif container.status == "restarting" or _should_run(container):
        container.status, container.backoff = "restarting", 0.0
        container.save()
        lifecycle.schedule_restart(container)
    elif container.auto_remove and container.status == "exited":
        await lifecycle.remove_finished(container)


def _has_monitor(container: Container) -> bool:
    """An engine that was killed between "go" and its commit left one without a word in the row."""
    return os.path.exists(container.engine.paths.monitor_socket(container.id))


def _should_run(container: Container) -> bool:
    """Docker starts these with the daemon; `unless-stopped` remembers a stop, `always` does not."""
    policy = (container.host_config.get("RestartPolicy") or {}).get("Name")
    if container.status != "exited":
        return False
    return policy == "always" or (policy == "unless-stopped" and not container.stopped_by_user)


async def _reconnect(container: Container) -> None:
    """Subscribe to the monitor again, or learn how the container ended."""
    path = container.engine.paths.monitor_socket(container.id)
    connection = None
    try:
        connection = await monitors.open(path)
        await connection.send(protocol.subscribe())
        state, _ = await connection.receive()
    except errors.Unavailable:
        state = None
    if state is None or state.get("event") != "state" or connection is None:
        if connection is not None:
            connection.detach()
        if container.running:
            record = exit_record(container) or await lifecycle.lost(container)
            await lifecycle.exited(container, record)
        return
    paused = container.status == "paused"
    container.status = "paused" if paused else "running"
    container.pid, container.started_at = state["pid"], state["started_at"]
    container.boot_id = lifecycle.boot_id()
    container.cgroup_driver = cgroups.of_running(container)
    container.save()
    lifecycle.follow(container, connection)
    await pause.go_on_after_a_kill(container)


def exit_record(container: Container) -> dict[str, Any] | None:
    """The bundle's exit.json, if it is about this run of the container."""
    try:
        with open(f"{container.bundle}/exit.json") as file:
            record: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return None
    same = record.get("started_at") in (container.started_at, None)
    return record if same or record.get("pid") == container.pid else None


def orphans(engine: Engine) -> list[str]:
    """Directories of containers that have no row: a create or a remove was cut short."""
    known = {container.id for container in engine.containers}
    found: set[str] = set()
    for top in (f"{engine.paths.root}/containers", f"{engine.paths.run}/containers"):
        found.update(name for name in os.listdir(top) if len(name) == 64)
    return sorted(found - known)


def _sweep(engine: Engine, left: list[str]) -> None:
    for container_id in left:
        log.info("removing what is left of container %s", container_id)
        remove.delete_files(engine, container_id)
