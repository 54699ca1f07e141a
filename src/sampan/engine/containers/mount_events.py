"""Docker's events of a container's volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container


def tell(container: Container, action: str) -> None:
    """`mount` before it starts, `unmount` after its end."""
    for point in container.mounts:
        if point["Type"] != "volume":
            continue
        about = {"container": container.id, "driver": point["Driver"]}
        if action == "mount":
            about |= {
                "destination": point["Destination"],
                "propagation": point.get("Propagation") or "",
                "read/write": str(point["RW"]).lower(),
            }
        container.engine.events.publish("volume", action, point["Name"], about)
