"""What `/system/df` says, as `system df` shows it."""

from __future__ import annotations

from sampan.cli import listing, units
from sampan.cli.commands import images, ps, volume_ls
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

DEFAULT = ("Type", "TotalCount", "Active", "Size", "Reclaimable")


class Usage(Record):
    kind: str
    count: int
    active: int
    size: int
    reclaimable: int


FIELDS: dict[str, tuple[str, Callable[[Usage], Any]]] = {
    "Type": ("TYPE", lambda u: u.kind),
    "TotalCount": ("TOTAL", lambda u: str(u.count)),
    "Active": ("ACTIVE", lambda u: str(u.active)),
    "Size": ("SIZE", lambda u: units.size(u.size)),
    "Reclaimable": ("RECLAIMABLE", lambda u: _reclaimable(u)),
}


def _reclaimable(usage: Usage) -> str:
    size = units.size(usage.reclaimable)
    if usage.size <= 0 or usage.kind == "Build Cache":
        return size
    return f"{size} ({usage.reclaimable * 100 // usage.size}%)"


def summary(found: dict[str, Any]) -> list[Usage]:
    return [_images(found), _containers(found), _volumes(found), _build_cache(found)]


def _images(found: dict[str, Any]) -> Usage:
    images_ = found.get("Images") or []
    used = [i for i in images_ if i.get("Containers", 0) > 0]
    size = int(found.get("LayersSize") or 0)
    kept = sum(i["Size"] - max(i.get("SharedSize", 0), 0) for i in used)
    return Usage(
        kind="Images",
        count=len(images_),
        active=len(used),
        size=size,
        reclaimable=max(size - kept, 0),
    )


def of_container(container: dict[str, Any]) -> int:
    """Its writable layer and (sampan tells them) its logs."""
    return (container.get("SizeRw") or 0) + (container.get("SizeLogs") or 0)


def of_image_alone(image: dict[str, Any]) -> int:
    """What no other image shares with it of unpacked layers, and (sampan tells it) its blobs."""
    shared = max(image.get("SharedSize", 0), 0)
    return int(image["Size"] - shared + (image.get("SizeContent") or 0))


def _containers(found: dict[str, Any]) -> Usage:
    containers = found.get("Containers") or []
    active = [c for c in containers if c.get("State") in ("running", "paused", "restarting")]
    size = sum(map(of_container, containers))
    return Usage(
        kind="Containers",
        count=len(containers),
        active=len(active),
        size=size,
        reclaimable=size - sum(map(of_container, active)),
    )


def _volumes(found: dict[str, Any]) -> Usage:
    volumes = found.get("Volumes") or []
    used = [v for v in volumes if v["UsageData"]["RefCount"] > 0]
    known = [v for v in volumes if v["UsageData"]["Size"] >= 0]
    return Usage(
        kind="Local Volumes",
        count=len(volumes),
        active=len(used),
        size=sum(v["UsageData"]["Size"] for v in known),
        reclaimable=sum(v["UsageData"]["Size"] for v in known if v not in used),
    )


def _build_cache(found: dict[str, Any]) -> Usage:
    records = found.get("BuildCache") or []
    own = [r for r in records if not r.get("Shared")]
    return Usage(
        kind="Build Cache",
        count=len(records),
        active=sum(bool(r.get("InUse")) for r in records),
        size=sum(r.get("Size") or 0 for r in own),
        reclaimable=sum(r.get("Size") or 0 for r in own if not r.get("InUse")),
    )


IMAGE_COLUMNS = (
    "Repository", "Tag", "ID", "CreatedSince", "Size", "SharedSize", "UniqueSize", "Containers",
)  # fmt: skip
CONTAINER_COLUMNS = (
    "ID", "Image", "Command", "LocalVolumes", "Size", "RunningFor", "Status", "Names",
)  # fmt: skip


def verbose(found: dict[str, Any]) -> str:
    """Each image, container and volume."""
    rows = [row for image in found.get("Images") or () for row in images.rows(image, False)]
    containers = found.get("Containers") or []
    return "\n".join(
        [
            "Images space usage:\n",
            listing.text(rows, images.fields(False), IMAGE_COLUMNS),
            "Containers space usage:\n",
            listing.text(containers, ps.fields(False), CONTAINER_COLUMNS),
            "Local Volumes space usage:\n",
            listing.text(found.get("Volumes") or [], volume_ls.FIELDS, ("Name", "Links", "Size")),
        ]
    )
