"""A layer and an image of our own making, on their way into a store."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sampan.image import compress, content, tar
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.image.erofs.making import Making

_BLOCK = 1 << 20  # bytes
_WAITING = 4  # blocks


@contextmanager
def new_layer(
    store: content.ContentStore,
    form: str = "gzip",
    level: int | None = None,
    *,
    making: Making | None = None,
) -> Iterator[LayerWriter]:
    """A layer that is compressed while its tar is still being made, with the digests of both.

    with new_layer(store) as layer:
        layer.write(tar bytes); …                or what layer.tar() writes
        descriptor, diff_id = layer.finish()

    `form` is one of compress.FORMS. What is left without `finish` is forgotten. `making` is filled
    by what `tar()` writes, and complete after `finish`.
    """
    with store.write() as ingest, ThreadPoolExecutor(1, "layer") as pool:
        yield LayerWriter(ingest, pool, compress.compressor(form, ingest.write, level), making)


class LayerWriter:
    """Cuts what is written into blocks; hashing and deflating them lets go of the interpreter's
    lock, so that the other thread goes on."""

    def __init__(
        self,
        ingest: content.Ingest,
        pool: ThreadPoolExecutor,
        packing: Any,
        making: Making | None = None,
    ) -> None:
        self._ingest, self._pool, self._making = ingest, pool, making
        self._plain = hashlib.sha256()
        self._packing = packing
        self._block = bytearray()
        self._waiting: deque[Future[None]] = deque()
        self._size = 0  # bytes of the tar

    def tar(self, *, latest: int | None = None) -> tar.Writer:
        """A writer of the layer's tar. It is to be the only one, and nothing else to write."""
        seen = self._making.put if self._making is not None else None
        return tar.Writer(self.write, latest=latest, seen=seen)

    def write(self, data: bytes) -> None:
        self._block += data
        if len(self._block) >= _BLOCK:
            self._hand_over()

    def _hand_over(self) -> None:
        if len(self._waiting) == _WAITING:
            self._waiting.popleft().result()
        self._size += len(self._block)
        self._waiting.append(self._pool.submit(self._take, self._block))
        self._block = bytearray()

    def _take(self, block: bytearray) -> None:
        self._plain.update(block)
        self._packing.write(block)
        if self._making is not None:
            self._making.write(block)

    def finish(self) -> tuple[dict[str, Any], str]:
        """The layer's descriptor and its diff_id."""
        self._hand_over()
        committed = self._pool.submit(self._commit)
        if self._making is not None:
            self._making.arrange(self._size)
        digest = committed.result()
        if self._making is not None:
            self._making.complete()
        layer = {"mediaType": oci_image.LAYER_GZIP, "digest": digest, "size": self._ingest.offset}
        return layer, f"sha256:{self._plain.hexdigest()}"

    def _commit(self) -> str:
        for block in self._waiting:
            block.result()
        self._packing.finish()
        return self._ingest.commit()


def write_image(
    store: content.ContentStore, config: dict[str, Any], layers: list[dict[str, Any]]
) -> str:
    """Put config and manifest into a store; the manifest's digest."""
    data = oci_image.encode(config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": oci_image.MANIFEST,
        "config": oci_image.descriptor(oci_image.CONFIG, data),
        "layers": layers,
    }
    content.add(store, data)
    return content.add(store, oci_image.encode(manifest))
