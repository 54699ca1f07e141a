"""`diff`: what the writable layer has that the image has not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.engine import rootfs
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container


async def changes(container: Container) -> list[dict[str, Any]]:
    """Docker's `GET /containers/{id}/changes`."""
    found = await in_thread(
        container.engine.snapshots.changes,
        container.id,
        rootfs.between(container.engine, container.id),
    )
    return [{"Path": change.path, "Kind": change.kind} for change in found]
