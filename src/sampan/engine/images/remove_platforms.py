"""`rmi --platform`: the bytes of some platforms of an image go, its names and the others stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.engine.images import variants
from sampan.image import platforms
from sampan.kit import errors
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.engine import Engine
    from sampan.image.content import ContentStore


async def remove(engine: Engine, name: str, wanted: Sequence[str]) -> list[dict[str, str]]:
    """Docker's answer. Raises NotForPlatform, and Conflict for the platform that the name runs."""
    image = engine.images.get(name)
    doomed = [variants.manifest(engine, name, platform) for platform in wanted]
    runs = dict(zip(doomed, wanted, strict=True)).get(image.manifest)
    if runs is not None:
        raise errors.Conflict(
            f"{name} is what runs here for {runs}: remove the image, or pull it for another"
            " platform first"
        )
    for digest in doomed:
        image_id, _ = variants.config(engine, digest)
        if engine.images.exists(image_id):  # a container was made of that platform
            await engine.images.remove(image_id)
    target = variants.target(engine, name)
    rows = engine.db.rows("select manifest from images union select target from names")
    tops = {row[0] for row in rows} - {target}
    await in_thread(_delete, engine.store, target, tops, set(doomed))
    return [{"Deleted": digest} for digest in doomed]


def _delete(store: ContentStore, target: str, others: set[str], doomed: set[str]) -> None:
    """What they alone are made of. A member of another index is needed by that, too."""
    members = {str(member.descriptor["digest"]) for member in platforms.members(store, target)}
    stay = others | (members - doomed)
    kept = {*platforms.reachable(store, sorted(stay)), target}
    for digest in platforms.reachable(store, sorted(doomed)):
        if digest not in kept:
            store.delete(digest)
