"""Layers that are one file each: `root/snapshots/erofs/l/N/layer`, read through a mount.

Making them needs no ability of the host, so the worker that does it knows nothing of mounts.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.image.erofs import build
from sampan.image.erofs.making import Making
from sampan.image.layers import Layers, plain
from sampan.image.lazy import filling
from sampan.image.unpack import Unpacked

if TYPE_CHECKING:
    from sampan.image import compress
    from sampan.image.layers import Filled

FILE = "layer"


class ErofsLayers(Layers):
    directory = "erofs"
    kept_as = FILE

    def _fill(self, place: str, layer: compress.Readable, diff_id: str) -> Filled:
        fd = _create(place)
        try:
            with plain(layer) as stream:
                return build.build(stream, fd, expected=diff_id)
        finally:
            os.close(fd)

    def making(self) -> Making:
        new = self._new()
        return Making(new, _create(new.place))

    def promise(self, chain_id: str, parent: str | None, start: filling.Start) -> Unpacked:
        """A layer whose bytes come later: visible at once, made of its table of contents. Raises
        TooLarge."""

        def fill(place: str) -> Filled:
            os.mkdir(f"{place}/fs", 0o755)
            filling.begin(place, start)
            tree, diff_id = start.plan.tree, start.promise.diff_id
            done = Unpacked(diff_id=diff_id, size=tree.size, entries=tree.entries)
            return done, tree.root.opaque

        return self._make(chain_id, parent, fill)

    def promised(self) -> dict[str, filling.Promise]:
        """Directory → promise, of the layers that are not whole yet."""
        found = {}
        for name in self._visible():
            place = f"{self._base}/l/{name}"
            if (promise := filling.promised(place)) is not None:
                found[place] = promise
        return found


def _create(place: str) -> int:
    """A descriptor of the empty file, beside the directory where it may be attached."""
    os.mkdir(f"{place}/fs", 0o755)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.open(f"{place}/{FILE}", flags, 0o600)
