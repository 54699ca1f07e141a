"""A layer and an image of our own making, on their way into a store."""

from __future__ import annotations

import hashlib
from typing import Any

from sampan.image import compress, content
from sampan.spec import oci_image


class LayerWriter:
    """A layer on its way into a store: compressed (gzip's way, if no other writer of `compress` is
    given), with the digests of both forms.

    with store.write() as ingest:
        layer = LayerWriter(ingest)
        layer.write(tar bytes); …
        descriptor, diff_id = layer.finish()
    """

    def __init__(self, ingest: content.Ingest, packing: Any = None) -> None:
        self._ingest = ingest
        self._plain = hashlib.sha256()
        self._packing = packing or compress.GzipWriter(ingest.write)

    def write(self, data: bytes) -> None:
        self._plain.update(data)
        self._packing.write(data)

    def finish(self) -> tuple[dict[str, Any], str]:
        self._packing.finish()
        size = self._ingest.offset
        digest = self._ingest.commit()
        layer = {"mediaType": oci_image.LAYER_GZIP, "digest": digest, "size": size}
        return layer, f"sha256:{self._plain.hexdigest()}"


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
