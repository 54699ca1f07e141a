"""Sizes of a container's file system, in bytes. Blocking: call in a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container


def writable_layer(container: Container) -> int:
    return int(container.engine.snapshots.usage(container.id).size)


def image_size(container: Container) -> int:
    found = container.engine.db.value("select size from images where id = ?", (container.image_id,))
    return int(found or 0)


def sizes(container: Container) -> tuple[int, int]:
    """(`SizeRw`, `SizeRootFs`)."""
    writable = writable_layer(container)
    return writable, writable + image_size(container)
