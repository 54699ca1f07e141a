"""What no image and no container names is removed: mark from the database, sweep the disk.

Bytes come in before the rows that name them. So writers (pull, load, commit) hold the gate, and
the collector waits for a moment without any: what it finds unnamed then is garbage.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sampan.build import cache
from sampan.image import content
from sampan.kit.threads import in_thread
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sampan.engine.engine import Engine


class Gate:
    """Many writers, or one collector."""

    def __init__(self) -> None:
        self._writers = 0
        self._condition = asyncio.Condition()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        async with self._condition:
            self._writers += 1
        try:
            yield
        finally:
            async with self._condition:
                self._writers -= 1
                self._condition.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """True when nobody writes; writers that come now wait. False: somebody does."""
        async with self._condition:
            yield self._writers == 0


async def collect(engine: Engine) -> None:
    """Remove unnamed blobs, layers and writable layers. While somebody writes, later."""
    async with engine.images.writers.alone() as free:
        if free:
            await _sweep(engine)


async def _sweep(engine: Engine) -> None:
    blobs, chains = _marked(engine)
    keys = {row[0] for row in engine.db.rows("select id from containers")}
    await in_thread(_remove, engine, blobs, chains, keys)


def _marked(engine: Engine) -> tuple[set[str], set[str]]:
    """The digests and chain ids that images, and containers of removed images, need."""
    blobs: set[str] = set()
    chains: set[str] = set()
    for row in engine.db.rows("select id, manifest, config from images"):
        blobs |= {row["id"], row["manifest"]}
        manifest = json.loads(content.read(engine.store, row["manifest"]))
        blobs |= {layer["digest"] for layer in manifest.get("layers") or []}
        chains |= set(oci_image.chain_ids(json.loads(row["config"])["rootfs"]["diff_ids"] or []))
    for row in engine.db.rows("select distinct target from names"):
        blobs.add(row["target"])
    return blobs | cache.Records(engine.paths.root).digests(), chains


def _remove(engine: Engine, blobs: set[str], chains: set[str], keys: set[str]) -> None:
    for digest in list(engine.store.walk()):
        if digest not in blobs:
            engine.store.delete(digest)
    for key in list(engine.snapshots.keys()):
        if key not in keys:
            engine.snapshots.remove(key)
    for chain_id in list(engine.snapshots.layers()):
        if chain_id not in chains:
            engine.snapshots.remove_layer(chain_id)
