"""`image convert`: the same image in another form, under another name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.engine.images import happened, lazy, register, variants
from sampan.image import convert as conversion
from sampan.image import platforms
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.spec import reference

if TYPE_CHECKING:
    from sampan.engine.engine import Engine


async def convert(
    engine: Engine,
    name: str,
    wanted: str,
    *,
    compression: str = "",
    documents: str = "",
    platform: str = "",
) -> dict[str, Any]:
    """Digest and id of what is named `wanted` from now on: all that is here of an index."""
    full = reference.parse(wanted)
    if full.digest:
        raise errors.InvalidArgument("refusing to create a tag with a digest reference")
    source = (
        variants.manifest(engine, name, platform) if platform else variants.target(engine, name)
    )
    lazy.must_be_whole(engine, [source])
    with engine.images.lease(f"convert {name}") as lease:
        lease.hold_all(platforms.reachable(engine.store, [source]))
        made = await in_thread(
            conversion.convert,
            lease.store,
            source,
            compression=compression,
            documents=documents,
        )
        manifest = platforms.shown(lease.store, made)
        if manifest is None:
            raise errors.InvalidArgument(f"nothing of {name} that could run is stored here")
        image_id = await register.register(engine, lease, manifest, [str(full)], target=made)
    happened.publish(engine, "tag", image_id, reference.familiar(str(full)))
    return {"Id": image_id, "Digest": made}
