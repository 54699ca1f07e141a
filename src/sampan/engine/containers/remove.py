"""`remove` and `prune`.

The row goes first, in one transaction with its mounts and endpoints; the writable layer and the
bundle after it. What a crash leaves then has no row, and `reconcile` takes it away.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from sampan.engine import rootfs
from sampan.engine.containers import kill, wait
from sampan.engine.errors import NotRunning
from sampan.kit import errors
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.filters import Filters


async def remove(
    container: Container, *, force: bool = False, volumes: bool = False, files_later: bool = False
) -> None:
    """Docker's `DELETE /containers/{id}`; `volumes`: its anonymous ones too.

    With `files_later` whoever waits for the removal is told before its own files are deleted, which
    nobody can name any more.
    """
    if container.removed:
        return
    if container.status == "removing":
        raise errors.Conflict(f"removal of container {container.id} is already in progress")
    await kill.settle(container)
    if container.running or container.status == "restarting":
        await _make_stop(container, force=force)
    if container.engine.containers.find(container.id) is None:
        return  # `--rm` was quicker
    before, container.status = container.status, "removing"
    try:
        container.save()
        _delete_rows(container)
    except BaseException:
        container.status = before
        raise
    engine = container.engine
    engine.containers.forget(container)
    for client in container.waiting:
        client.socket.close()
    try:
        if volumes:
            await _remove_volumes(container)
        if not files_later:
            await in_thread(_delete_files, container)
    finally:
        container.removed = True  # who waits for that finds nothing of it
        container.event("destroy")
        await container.notify()
        if files_later:
            await in_thread(_delete_files, container)


async def _make_stop(container: Container, *, force: bool) -> None:
    if not force:
        state = container.status
        raise errors.Conflict(
            f'cannot remove container "{container.name}": container is {state}: '
            "stop the container before removing or force remove"
        )
    container.stopped_by_user = True
    if container.restarting is not None:
        container.restarting.cancel()
        container.restarting = None
    if not container.running:
        container.status = "exited"
        return
    try:
        await kill.send(container, 9)
    except NotRunning:
        pass
    if not await wait.ended(container, 10):
        raise errors.Unavailable(
            f"cannot remove container {container.id}: it is still there 10 seconds after SIGKILL"
        )


def _delete_rows(container: Container) -> None:
    db = container.engine.db
    with db.transaction():
        db.execute("delete from containers where id = ?", (container.id,))


async def _remove_volumes(container: Container) -> None:
    volumes = container.engine.volumes
    for point in container.mounts:
        if point["Type"] != "volume":
            continue
        try:
            if volumes.get(point["Name"]).anonymous:
                await volumes.remove(point["Name"])
        except (errors.NotFound, errors.Conflict):
            pass  # gone already, or another container uses it


def _delete_files(container: Container) -> None:
    delete_files(container.engine, container.id)


def delete_files(engine: Engine, container_id: str) -> None:
    """The writable layer, bundle and run directory of a container without a row."""
    rootfs.remove(engine, container_id)
    shutil.rmtree(engine.paths.bundle(container_id), ignore_errors=True)
    run = engine.paths.container_run(container_id)
    if os.path.isdir(run):
        shutil.rmtree(run, ignore_errors=True)


async def prune(engine: Engine, filters: Filters) -> dict[str, Any]:
    """Remove every container that does not run: Docker's answer, with the bytes won."""
    from sampan.engine.containers import usage
    from sampan.engine.units import moment
    from sampan.kit import clock

    filters.accept("label", "label!", "until")
    until = [moment(text) for text in filters.get("until")]
    deleted, reclaimed = [], 0
    for container in engine.containers:
        if container.running or container.status in ("restarting", "removing"):
            continue
        if not filters.labels(container.labels):
            continue
        if any(clock.parse(container.created) > when for when in until):
            continue
        reclaimed += await in_thread(usage.reclaimable, container)
        await remove(container)
        deleted.append(container.id)
    engine.events.publish("container", "prune", "", {"reclaimed": str(reclaimed)})
    return {"ContainersDeleted": deleted or None, "SpaceReclaimed": reclaimed}
