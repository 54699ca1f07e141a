"""Unpacked layers as one tree, as overlayfs would show them, without a mount."""

from __future__ import annotations

import os
import stat

from sampan.build import files
from sampan.image import tar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Stack:
    """Unpacked layers, top first, as overlayfs would join them. overlayfs.rst: "whiteouts"."""

    def __init__(self, layers: list[str]) -> None:
        # A layer's own name may be a link, even /proc/self/fd's: it is looked through.
        self._layers = [f"{layer}/." for layer in layers]

    def entry(self, path: str) -> tar.Entry | None:
        place = self._find(path)
        if place is None:
            return None
        return tar.entry_of(place, path, os.lstat(place))

    def _find(self, path: str) -> str | None:
        """The topmost layer's path, unless a whiteout, a file or an opaque directory hides it."""
        steps = path.split("/") if path else []
        for layer in self._layers:
            place = layer
            hidden = False
            for step in steps:
                hidden = hidden or _opaque(place)
                place = f"{place}/{step}"
                status = _lstat(place)
                if status is None:
                    break
                if _whiteout(status):
                    return None
                if not stat.S_ISDIR(status.st_mode) and place != f"{layer}/{path}":
                    return None
            else:
                return place
            if hidden:
                return None
        return None

    def children(self, path: str) -> list[str]:
        names: set[str] = set()
        for layer in self._layers:
            place = f"{layer}/{path}" if path else layer
            status = _lstat(place)
            if status is not None and stat.S_ISDIR(status.st_mode):
                names.update(os.listdir(place))
        return [n for n in names if self._find(f"{path}/{n}" if path else n) is not None]

    def copy(self, path: str, write: Callable[[bytes], object]) -> None:
        place = self._find(path)
        if place is None:
            raise files.PathNotFound(path)
        with open(place, "rb") as file:
            while part := file.read(files.CHUNK):
                write(part)

    def digest(self, path: str) -> bytes:
        return files.sha256(self, path)

    def shared(self, path: str) -> tuple[int, int] | None:
        place = self._find(path)
        status = os.lstat(place) if place else None
        return (status.st_dev, status.st_ino) if status and status.st_nlink > 1 else None


def _lstat(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _opaque(directory: str) -> bool:
    try:
        return os.getxattr(directory, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False
