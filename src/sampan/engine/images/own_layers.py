"""Layers that the engine writes itself, of a build's step or a container: into the store and, where
the snapshotter can, unpacked at the same time. Nothing is read back.

    layers = OwnLayers(engine, lease)
    descriptor, diff_id = layers.store(write)       blocking; `write` gets a tar.Writer
    await layers.publish(chain, diff_id)            its place in a stack; nothing, where it has one
    layers.close()                                  what got no place is forgotten
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from sampan.image import archive
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.engine.engine import Engine
    from sampan.engine.images.leases import Lease
    from sampan.image import tar
    from sampan.image.erofs.making import Making


class OwnLayers:
    """`store` may be called from several threads."""

    def __init__(self, engine: Engine, lease: Lease) -> None:
        self._snapshots, self._lease = engine.snapshots, lease
        self._ready: dict[str, Making] = {}  # by diff_id: complete, without a place
        self._lock = threading.Lock()
        self._closed = False

    def store(
        self, write: Callable[[tar.Writer], object], *, latest: int | None = None
    ) -> tuple[dict[str, Any], str]:
        """The layer's descriptor and diff_id; no member is younger than `latest`, seconds since
        1970. Raises what unpacking it would."""
        making = self._snapshots.making()
        try:
            with archive.new_layer(self._lease.store, making=making) as layer:
                write(layer.tar(latest=latest))
                descriptor, diff_id = layer.finish()
        except BaseException:
            if making is not None:
                making.close()
            raise
        if making is not None:
            self._keep(diff_id, making)
        return descriptor, diff_id

    def _keep(self, diff_id: str, making: Making) -> None:
        with self._lock:
            wanted = not self._closed and diff_id not in self._ready
            if wanted:
                self._ready[diff_id] = making
        if not wanted:
            making.close()

    async def publish(self, chain: Sequence[str], diff_id: str) -> None:
        """The layer is the top of this stack (chain ids, base first)."""
        with self._lock:
            making = self._ready.pop(diff_id, None)
        if making is None:
            return
        try:
            await self._lease.layer(chain[-1])
            await in_thread(making.publish, chain[-1], chain[-2] if len(chain) > 1 else None)
        finally:
            await in_thread(making.close)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            left = [*self._ready.values()]
            self._ready.clear()
        for making in left:
            making.close()
