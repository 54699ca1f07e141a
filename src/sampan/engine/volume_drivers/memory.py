"""The in-memory twin of a VolumeDriver: directories in one place, mounts that are only names."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.engine.volume_drivers import Wanted


class Memory:
    name, scope = "memory", "local"

    def __init__(self, top: str) -> None:
        self._top, self._mounted = top, set[str]()
        self.broken = ""  # a mount fails with this reason

    def check(self, options: Mapping[str, str]) -> None:
        for key in options:
            if key != "mounted":
                raise errors.InvalidArgument(f'invalid option: "{key}"')

    def create(self, volume: Wanted) -> None:
        self.check(volume.options)
        os.makedirs(self.mountpoint(volume.name), exist_ok=True)

    def remove(self, volume: Wanted) -> None:
        self.unmount(volume)
        shutil.rmtree(self.mountpoint(volume.name), ignore_errors=True)

    def mountpoint(self, name: str) -> str:
        return f"{self._top}/{name}"

    def lasting(self, volume: Wanted) -> bool:
        return "mounted" not in volume.options

    def mount(self, volume: Wanted) -> None:
        if self.broken:
            raise errors.Unavailable(self.broken)
        if not self.lasting(volume):
            self._mounted.add(volume.name)

    def unmount(self, volume: Wanted) -> None:
        self._mounted.discard(volume.name)

    def mounted(self) -> set[str]:
        return set(self._mounted)

    def status(self, volume: Wanted) -> dict[str, Any]:
        return {"mounted": volume.name in self._mounted}
