"""`image tree` and `image diff`: what is in the layers, read by a process of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sampan.engine.images import lazy, variants
from sampan.image import platforms, study, worker

if TYPE_CHECKING:
    from sampan.engine.engine import Engine


async def tree(engine: Engine, name: str, *, platform: str = "") -> dict[str, Any]:
    manifest = variants.manifest(engine, name, platform)
    told = await _ask(engine, "tree", manifest)
    image_id, _ = variants.config(engine, manifest)
    return {"Id": image_id, "Manifest": manifest, **told}


async def diff(
    engine: Engine, name: str, other: str, *, platform: str = ""
) -> list[dict[str, Any]]:
    """What changes from `other` to `name`; with no other, what the top layer changed."""
    before = variants.manifest(engine, other, platform) if other else ""
    told = await _ask(engine, "diff", variants.manifest(engine, name, platform), before)
    return [{"Path": path, "Kind": kind} for path, kind in told["changes"]]


async def _ask(engine: Engine, verb: str, manifest: str, other: str = "") -> dict[str, Any]:
    manifests = [manifest, *filter(None, [other])]
    lazy.must_be_whole(engine, manifests)
    with engine.images.lease(lasting=False) as lease:
        lease.hold_all(platforms.reachable(engine.store, manifests))
        command = study.command(engine.paths.root, verb=verb, manifest=manifest, other=other)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
        )
        try:
            line, _ = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
    return worker.outcome(line)
