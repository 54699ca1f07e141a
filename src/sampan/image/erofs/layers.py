"""Layers that are one file each: `root/snapshots/erofs/l/N/layer`, read through a mount.

Making them needs no ability of the host, so the worker that does it knows nothing of mounts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.image.erofs import build
from sampan.image.layers import Layers, plain

if TYPE_CHECKING:
    from sampan.image import compress
    from sampan.image.unpack import Unpacked

FILE = "layer"


class ErofsLayers(Layers):
    directory = "erofs"

    def _fill(self, place: str, layer: compress.Readable, diff_id: str) -> tuple[Unpacked, bool]:
        os.mkdir(f"{place}/fs", 0o755)  # where it may be attached
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        fd = os.open(f"{place}/{FILE}", flags, 0o600)
        try:
            with plain(layer) as stream:
                return build.build(stream, fd, expected=diff_id)
        finally:
            os.close(fd)
