"""The engine's images without the rest of it: database, content store, layers that are names."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from typing import TYPE_CHECKING, Any

from sampan.engine.db import Database
from sampan.engine.events import Events
from sampan.engine.images import Images, names
from sampan.image import content
from sampan.kit import clock
from sampan.kit.paths import Paths
from sampan.spec import oci_image

if TYPE_CHECKING:
    from pathlib import Path


class Layers:
    """A snapshotter of names alone, that takes its time to remove."""

    name = "names"

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.writable: set[str] = set()
        self.pause = threading.Event()

    def has(self, chain_id: str) -> bool:
        return chain_id in self.there

    def layers(self) -> list[str]:
        return list(self.there)

    def keys(self) -> list[str]:
        return list(self.writable)

    def layer_size(self, chain_id: str) -> int:
        return 1

    def remove(self, key: str) -> None:
        self.pause.wait(random.random() / 1000)
        self.writable.discard(key)

    def remove_layer(self, chain_id: str) -> None:
        self.pause.wait(random.random() / 1000)
        self.there.discard(chain_id)


class Alone:
    def __init__(self, place: Path) -> None:
        self.paths = Paths(root=str(place), run=str(place))
        self.db = Database(":memory:")
        self.store = content.FileStore(str(place))
        self.snapshots = Layers()
        self.events = Events()
        self.stopping = False
        self.images = Images(self)  # type: ignore[arg-type]

    def spawn(self, work: Any, name: str) -> asyncio.Task[Any]:
        return asyncio.create_task(work, name=name)


def image(*layers: bytes) -> tuple[list[bytes], bytes, bytes]:
    """Layers, config and manifest of an image that nobody will unpack."""
    config = oci_image.encode(
        {
            "os": "linux",
            "architecture": "amd64",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [oci_image.digest_of(x) for x in layers]},
        }
    )
    manifest = oci_image.encode(
        {
            "schemaVersion": 2,
            "mediaType": oci_image.MANIFEST,
            "config": oci_image.descriptor(oci_image.CONFIG, config),
            "layers": [oci_image.descriptor(oci_image.LAYER, x) for x in layers],
        }
    )
    return [*layers], config, manifest


def register(engine: Alone, config: bytes, manifest: bytes, *full_names: str) -> str:
    """The rows that a pull ends with."""
    image_id = oci_image.digest_of(config)
    chain = oci_image.chain_ids(json.loads(config)["rootfs"]["diff_ids"])
    with engine.db.transaction():
        engine.db.execute(
            "insert or ignore into images (id, manifest, chain_id, config, created, size)"
            " values (?, ?, ?, ?, ?, ?)",
            (
                image_id,
                oci_image.digest_of(manifest),
                chain[-1] if chain else None,
                config.decode(),
                clock.now(),
                len(chain),
            ),
        )
        for name in full_names:
            names.put(engine.db, name, image_id, oci_image.digest_of(manifest))
    return str(image_id)
