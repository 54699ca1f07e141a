"""Sizes of a container's file system, in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container


def writable_layer(container: Container) -> int:
    """Blocking: call in a thread."""
    return int(container.engine.snapshots.usage(container.id).size)


def image_size(container: Container) -> int:
    found = container.engine.db.value("select size from images where id = ?", (container.image_id,))
    return int(found or 0)


async def document(container: Container) -> dict[str, Any]:
    """What `size` adds to `ps` and `inspect`; the files are counted in a thread."""
    writable = await in_thread(writable_layer, container)
    return {"SizeRw": writable, "SizeRootFs": writable + image_size(container)}
