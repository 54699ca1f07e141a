"""`image mount`: an image's files, read-only, below the engine's run directory.

    run/mounts/HEX        one directory for each image that is mounted, named by its id

The kernel's mount table is the truth: whatever is mounted there is mounted, whoever did it; an
image that is mounted is not removed, and `system shutdown` unmounts all.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.image import mounting
from sampan.kit import errors
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from sampan.engine.engine import Engine
    from sampan.engine.images import Image


class NotMounted(errors.NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"image {name} is not mounted")


def _place(engine: Engine, image_id: str) -> str:
    return f"{engine.paths.run}/mounts/{image_id.partition(':')[2]}"


def where(engine: Engine, image_id: str) -> str:
    """The path that an image is mounted at; "" where it is not."""
    place = _place(engine, image_id)
    return place if mounting.is_attached(place) else ""


async def mount(engine: Engine, name: str) -> str:
    """The path; the same one if it is mounted already."""
    image = engine.images.get(name)
    place = where(engine, image.id)
    return place or await in_thread(_attach, engine, image)


def _attach(engine: Engine, image: Image) -> str:
    place = _place(engine, image.id)
    os.makedirs(place, mode=0o755, exist_ok=True)
    mounting.attach(engine.snapshots.view(image.chain_id), place)
    return place


async def umount(engine: Engine, name: str) -> str:
    image = engine.images.get(name)
    place = where(engine, image.id)
    if not place:
        raise NotMounted(name)
    await in_thread(mounting.detach, place)
    os.rmdir(place)
    return image.id


def every(engine: Engine) -> list[dict[str, str]]:
    found = []
    for row in engine.db.rows("select id from images"):
        if place := where(engine, row["id"]):
            found.append({"Id": row["id"], "Path": place})
    return found


async def umount_all(engine: Engine) -> None:
    for mounted in every(engine):
        await umount(engine, mounted["Id"])
