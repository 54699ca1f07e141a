"""Layers on disk: `root/snapshots/overlay/l`, unpacked (erofs.layers keeps another kind of them).

A layer is `l/N/fs`, N a short number; `l/N/parent` names the chain below (nothing, if the layer
hides all that is below), `l/N/size` its bytes. `l/by-chain/HEX` is a link to N and makes it
visible. The file system is synced before the link is made, so that a power cut leaves a whole
layer or none (docs/decisions/0003). Who unpacks holds a lock on `l/N`.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import closing
from typing import TYPE_CHECKING

from sampan.image import compress
from sampan.image import unpack as unpacking
from sampan.image.ahead import ahead
from sampan.image.removal import remove_tree
from sampan.kit import errors
from sampan.linux import _libc

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from sampan.image.erofs.making import Making

    Filled = tuple[unpacking.Unpacked, bool]  # whether it hides all that is below


class SnapshotNotFound(errors.NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"snapshot {name} does not exist")


class Unfinished:
    """A layer's directory that nothing makes visible yet, and the lock on it."""

    def __init__(self, place: str, lock: int, link_of: Callable[[str], str]) -> None:
        self.place, self._lock, self._link_of = place, lock, link_of
        self._published = False

    def publish(
        self, chain_id: str, parent: str | None, done: unpacking.Unpacked, *, hides_all: bool
    ) -> None:
        # an opaque root: overlayfs does not heed it at the top
        put(f"{self.place}/parent", "" if hides_all else parent or "")
        put(f"{self.place}/size", str(done.size))
        put(f"{self.place}/chain", chain_id)
        _libc.syncfs(self._lock, path=self.place)
        try:
            os.symlink(f"../{os.path.basename(self.place)}", self._link_of(chain_id))
        except FileExistsError:  # somebody else was faster; theirs counts
            return
        self._published = True

    def close(self) -> None:
        """What was not published goes."""
        if not self._published:
            discard(self.place)
        os.close(self._lock)


class Layers:
    directory = "overlay"  # below root/snapshots
    kept_as = "fs"  # a layer's name in its own directory

    def __init__(self, root: str) -> None:
        self._base = f"{root}/snapshots/{self.directory}"
        os.makedirs(f"{self._base}/l/by-chain", mode=0o711, exist_ok=True)

    def has(self, chain_id: str) -> bool:
        return os.path.lexists(self._link(chain_id))

    def unpack(
        self, chain_id: str, parent: str | None, layer: compress.Readable, diff_id: str
    ) -> unpacking.Unpacked:
        if self.has(chain_id):
            size = self.layer_size(chain_id)
            return unpacking.Unpacked(diff_id=diff_id, size=size, entries=0)
        return self._make(chain_id, parent, lambda place: self._fill(place, layer, diff_id))

    def making(self) -> Making | None:
        """A new layer that is filled while its tar is written; None where layers of this kind are
        made of the finished tar."""
        return None

    def _make(
        self, chain_id: str, parent: str | None, fill: Callable[[str], Filled]
    ) -> unpacking.Unpacked:
        with closing(self._new()) as new:
            done, hides_all = fill(new.place)
            new.publish(chain_id, parent, done, hides_all=hides_all)
        return done

    def _fill(self, place: str, layer: compress.Readable, diff_id: str) -> Filled:
        """Also says whether the layer hides all that is below."""
        os.mkdir(f"{place}/fs", 0o755)
        fd = os.open(f"{place}/fs", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with plain(layer) as stream:
                done = unpacking.unpack(stream, fd, expected=diff_id)
            return done, is_opaque(f"{place}/fs")
        finally:
            os.close(fd)

    def _new(self) -> Unfinished:
        """In a directory of the next free number."""
        number = len(os.listdir(f"{self._base}/l"))
        while True:
            place = f"{self._base}/l/{number}"
            number += 1
            try:
                os.mkdir(place, 0o711)
                lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except (FileExistsError, FileNotFoundError):  # taken, or collected just now
                continue
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.path.exists(place):
                return Unfinished(place, lock, self._link)
            os.close(lock)

    def _link(self, chain_id: str) -> str:
        return f"{self._base}/l/by-chain/{chain_id.replace(':', '-')}"

    def layer(self, chain_id: str) -> str:
        """The directory of a layer. Raises SnapshotNotFound."""
        try:
            number = os.readlink(self._link(chain_id)).rpartition("/")[2]
        except FileNotFoundError:
            raise SnapshotNotFound(chain_id) from None
        return f"{self._base}/l/{number}"

    def stack(self, chain_id: str | None) -> list[str]:
        """The layers' trees, top first."""
        found = []
        while chain_id:
            place = self.layer(chain_id)
            found.append(self.tree(place))
            chain_id = get(f"{place}/parent")
        return found

    def tree(self, place: str) -> str:
        """Where a layer's files can be seen."""
        return f"{place}/fs"

    def empty(self) -> str:
        """A directory with nothing in it, for images without layers."""
        place = f"{self._base}/empty"
        os.makedirs(place, mode=0o755, exist_ok=True)
        return place

    def layer_size(self, chain_id: str) -> int:
        return int(get(f"{self.layer(chain_id)}/size") or 0)

    def layers(self) -> Iterator[str]:
        for name in os.listdir(f"{self._base}/l/by-chain"):
            yield name.replace("-", ":", 1)

    def remove_layer(self, chain_id: str) -> None:
        try:
            place = self.layer(chain_id)
        except SnapshotNotFound:
            return
        os.unlink(self._link(chain_id))
        discard(place)

    def collect(self) -> None:
        """Remove what a crash left: directories that no link makes visible and nobody locks."""
        for name in os.listdir(f"{self._base}/l"):
            if name == "by-chain":
                continue
            place = f"{self._base}/l/{name}"
            try:
                lock = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if name not in self._visible():  # asked under the lock: it may be published now
                    discard(place)
            except BlockingIOError:
                pass
            finally:
                os.close(lock)

    def _visible(self) -> set[str]:
        links = f"{self._base}/l/by-chain"
        return {os.readlink(f"{links}/{n}").rpartition("/")[2] for n in os.listdir(links)}


def plain(layer: compress.Readable) -> closing[Generator[bytes, None, None]]:
    """The layer's tar, decompressed in a thread ahead of who reads it."""
    return closing(ahead(compress.decompress(compress.chunks(layer))))


def discard(place: str) -> None:
    """Remove a tree as far as it goes; what stays is collected some other time."""
    try:
        remove_tree(place)
    except OSError:
        pass


def is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False


def lower(stack: list[str], path: str) -> os.stat_result | None:
    """What a stack of layers shows at a path."""
    for layer in stack:
        try:
            status = os.lstat(layer + path)
        except FileNotFoundError:
            if any(_hides(layer, path)):
                return None
            continue
        except NotADirectoryError:
            return None
        if is_whiteout(status):
            return None
        return status
    return None


def _hides(layer: str, path: str) -> Iterator[bool]:
    """Whether a parent is opaque, or whited out, in this layer."""
    parts = path.strip("/").split("/")[:-1]
    for count in range(1, len(parts) + 1):
        above = f"{layer}/{'/'.join(parts[:count])}"
        try:
            yield is_whiteout(os.lstat(above)) or is_opaque(above)
        except OSError:
            return


def put(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def get(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
