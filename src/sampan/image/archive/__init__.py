"""Images in archives: `docker save`'s form and OCI layouts, read from a stream and written to one.

    for image in load(store, chunks): image.manifest, image.names
    save(store, [Saved(digest=…, names=…)], write)

What is written is both at once, as modern docker writes it: `oci-layout`, `index.json` and
`blobs/…` of image-layout.md, and `manifest.json` for older readers. Archives are read front to
back, so they may come through a pipe; blobs go into the content store under the digest of what
came.
"""

from __future__ import annotations

from sampan.image.archive.books import NotAnArchive
from sampan.image.archive.layer import LayerWriter, new_layer, write_image
from sampan.image.archive.loading import Loaded, load, read_all
from sampan.image.archive.saving import Saved, save

__all__ = [
    "LayerWriter",
    "Loaded",
    "NotAnArchive",
    "Saved",
    "load",
    "new_layer",
    "read_all",
    "save",
    "write_image",
]
