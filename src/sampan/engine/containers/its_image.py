"""Which image a new container is made of: a name alone, or a name and a platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.engine.images import register, variants
from sampan.spec import oci_image

if TYPE_CHECKING:
    from sampan.engine.engine import Engine
    from sampan.engine.images import Image


async def choose(engine: Engine, name: str, platform: str) -> tuple[Image, list[str]]:
    """The image, runnable, and warnings. Raises NoSuchImage, NotForPlatform, InvalidArgument."""
    image = engine.images.get(name)
    own = variants.platform_of(image.config)
    if not platform:
        here = oci_image.host_platform()
        return image, [] if variants.suits(own, here) else [
            f"The requested image's platform ({own}) does not match the detected host platform"
            f" ({here}) and no specific platform was requested"
        ]
    if variants.suits(own, oci_image.parse_platform(platform)):
        return image, []
    image = engine.images.for_platform(name, platform)
    if not engine.images.exists(image.id):  # its bytes came with the index, and were left packed
        with engine.images.lease(f"unpack {name} for {platform}") as lease:
            await register.register(engine, lease, image.manifest, [])
    return image, []
