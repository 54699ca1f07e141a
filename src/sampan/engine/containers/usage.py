"""Sizes of a container's file system, in bytes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sampan.kit import errors
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container


def writable_layer(container: Container) -> int:
    """0 where the container was just removed. Blocking: call in a thread."""
    try:
        return int(container.engine.snapshots.usage(container.id).size)
    except errors.NotFound:
        return 0


def logs(container: Container) -> int:
    """Of the log and what was rotated away from it. Blocking."""
    directory, name = os.path.split(container.log_path)
    try:
        entries = [e for e in os.scandir(directory) if e.name.startswith(name)]
        return sum(entry.stat().st_size for entry in entries)
    except FileNotFoundError:
        return 0


def reclaimable(container: Container) -> int:
    """What removing it frees. Blocking."""
    return writable_layer(container) + logs(container)


def image_size(container: Container) -> int:
    found = container.engine.db.value("select size from images where id = ?", (container.image_id,))
    return int(found or 0)


async def document(container: Container) -> dict[str, Any]:
    """What `size` adds to `ps` and `inspect`, and ours: `SizeLogs`. Counted in a thread."""
    writable = await in_thread(writable_layer, container)
    return {
        "SizeRw": writable,
        "SizeRootFs": writable + image_size(container),
        "SizeLogs": await in_thread(logs, container),
    }
