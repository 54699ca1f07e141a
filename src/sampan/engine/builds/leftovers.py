"""What a killed engine's builds left: their steps' containers, mounts, secrets. None of it is used
again: a build goes on from the steps that it has finished, which are in the cache."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.engine.builds import scratch
from sampan.engine.containers import remove
from sampan.image import layers
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from sampan.engine.engine import Engine

LABEL = "sampan.build.step"  # marks a step's container


async def clear(engine: Engine) -> None:
    """Called when the engine starts, before any build."""
    steps = [one for one in engine.containers if LABEL in (one.config.get("Labels") or {})]
    for container in steps:
        await remove.remove(container, force=True, volumes=True)
    await in_thread(_files, engine.paths.root, engine.paths.run)


def _files(root: str, run: str) -> None:
    scratch.sweep(root)
    place = f"{run}/build"
    for name in os.listdir(place) if os.path.isdir(place) else ():
        layers.discard(f"{place}/{name}")
