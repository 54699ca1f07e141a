"""Snapshots whose layers are never unpacked: EROFS below, overlayfs on top.

A layer is mounted once, when first used, for all containers: they share its pages and its inodes.
*Held* mounts are attached nowhere: the engine has a descriptor of each, a layer's tree is
`/proc/ENGINE/fd/N`, and the host's mount table shows nothing. What a container mounts is a copy of
its own, which goes on when the engine ends. overlayfs takes such trees since Linux 6.15; before,
they are *attached* at `l/N/fs` until the layer is removed or the engine shuts down
(docs/decisions/0005).
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from sampan.image import mounting as attaching
from sampan.image.erofs import mounting
from sampan.image.erofs.layers import FILE, ErofsLayers
from sampan.image.layers import SnapshotNotFound, discard
from sampan.image.lazy import filling
from sampan.image.snapshots import Overlay
from sampan.kit import errors
from sampan.linux import mount

if TYPE_CHECKING:
    from collections.abc import Callable


class Erofs(ErofsLayers, Overlay):
    name = "erofs"

    def __init__(
        self, root: str, why: str = "", *, backing: str = "file", held: bool = True
    ) -> None:
        super().__init__(root, why)
        self.backing, self.held = backing, held
        self.device_of: Callable[[str], str] = _nobody  # shows a lazy layer's file as it comes
        self._descriptors: dict[str, int] = {}  # of held mounts, by place
        self._lock = threading.Lock()

    def tree(self, place: str) -> str:
        with self._lock:
            if not self.held:
                self._attach(place)
                return f"{place}/fs"
            if place not in self._descriptors:
                self._descriptors[place] = self._mount(place)
            return f"/proc/{os.getpid()}/fd/{self._descriptors[place]}"

    def _attach(self, place: str) -> None:
        if _is_attached(place):
            return
        fd = self._mount(place)
        try:
            mount.move_mount(fd, f"{place}/fs")
            mount.set_attributes(fd, propagation=mount.MS.PRIVATE)
        finally:
            os.close(fd)

    def _mount(self, place: str) -> int:
        promise = filling.promised(place)
        if promise is None:
            return mounting.mount(f"{place}/{FILE}", self.backing)
        if promise.failed:
            raise errors.Unavailable(f"layer {promise.blob} was never whole: {promise.failed}")
        return mounting.mount_device(self.device_of(place))

    def remove_layer(self, chain_id: str) -> None:
        try:
            place = self.layer(chain_id)
        except SnapshotNotFound:
            return
        os.unlink(self._link(chain_id))  # from here on nobody mounts it again
        self._let_go(place)
        discard(place)

    def _let_go(self, place: str) -> None:
        with self._lock:
            if (fd := self._descriptors.pop(place, None)) is not None:
                os.close(fd)
            if _is_attached(place):
                attaching.detach(f"{place}/fs")

    def collect(self) -> None:
        """Also lets go of what an engine with attached mounts left of removed layers."""
        visible = self._visible()
        for name in os.listdir(f"{self._base}/l"):
            if name not in visible and name != "by-chain":
                self._let_go(f"{self._base}/l/{name}")
        super().collect()

    def close(self) -> None:
        """Let go of all layers; containers keep what they use."""
        for name in os.listdir(f"{self._base}/l"):
            if name != "by-chain":
                self._let_go(f"{self._base}/l/{name}")


def _nobody(place: str) -> str:
    raise errors.Unavailable(f"the layer at {place} is not whole, and nobody fetches it")


def _is_attached(place: str) -> bool:
    try:
        return os.stat(f"{place}/fs").st_dev != os.stat(place).st_dev
    except FileNotFoundError:
        return False
