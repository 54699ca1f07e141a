"""Snapshots for hosts without overlayfs: a container gets a whole copy of its image's files.

The layers are kept as overlayfs would have them (`layers`), and are copied over each other when a
container is made: slow and large, but it needs nothing of the kernel. What a container changed is
found by comparing its files with its layers, as the other snapshotter would show it.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from sampan.image import tar
from sampan.image.layers import is_opaque, is_whiteout, lower, put
from sampan.image.removal import remove_tree
from sampan.image.snapshots import Change, Mount, Overlay

if TYPE_CHECKING:
    from collections.abc import Iterator


class Native(Overlay):
    """`root/snapshots/native/KEY/{fs,parent}`."""

    name = "native"

    def __init__(self, root: str, why: str = "") -> None:
        super().__init__(root, why)
        self._writable = f"{root}/snapshots/native"
        os.makedirs(self._writable, mode=0o711, exist_ok=True)

    def prepare(self, key: str, parent: str | None) -> None:
        stack = self.stack(parent)
        place = f"{self._writable}/{key}"
        os.mkdir(place, 0o710)
        os.mkdir(f"{place}/fs", 0o755)
        for layer in reversed(stack):
            _lay(layer, f"{place}/fs", {})
        put(f"{place}/parent", parent or "")

    def mounts(self, key: str, between: tuple[str, ...] = ()) -> list[Mount]:
        return [Mount(type="bind", source=f"{self._place(key)}/fs", options=("rbind", "rw"))]

    def view(self, chain_id: str | None) -> list[Mount]:
        key = f"view-{(chain_id or 'empty').replace(':', '-')}"
        if key not in self.keys():
            self.prepare(key, chain_id)
        return [Mount(type="bind", source=f"{self._place(key)}/fs", options=("rbind", "ro"))]

    def places(self, key: str) -> dict[str, str]:
        return {"Dir": f"{self._place(key)}/fs"} if key in self.keys() else {}

    def changes(self, key: str, between: tuple[str, ...] = ()) -> list[Change]:
        return list(self._changes(key, between))

    def _changes(self, key: str, between: tuple[str, ...]) -> Iterator[Change]:
        place = self._place(key)
        stack = [*between, *self._parents(key)]
        yield from _compare(f"{place}/fs", "", stack)

    def diff(self, key: str, writer: tar.Writer) -> None:
        seen: dict[tuple[int, int], str] = {}
        for change in self._changes(key, ()):
            name = change.path.lstrip("/")
            if change.kind == 2:
                above, _, base = name.rpartition("/")
                whiteout = f"{above}/.wh.{base}".lstrip("/")
                writer.add(tar.Entry(whiteout, mode=0o600))
                continue
            path = f"{self._place(key)}/fs/{name}"
            status = os.lstat(path)
            if stat.S_ISDIR(status.st_mode):
                writer.begin(tar.entry_of(path, name, status))
            else:
                tar.write_one(writer, path, name, status, seen)
        writer.finish()


def _lay(layer: str, over: str, links: dict[int, str]) -> None:
    """Copy one layer's directory over what is there, as overlayfs would show both."""
    if is_opaque(layer):
        for name in os.listdir(over):
            _clear(f"{over}/{name}")
    for name in os.listdir(layer):
        here, there = f"{layer}/{name}", f"{over}/{name}"
        status = os.lstat(here)
        if not (stat.S_ISDIR(status.st_mode) and _is_directory(there)):
            _clear(there)
        if is_whiteout(status):
            continue
        if stat.S_ISDIR(status.st_mode):
            os.makedirs(there, exist_ok=True)
            _lay(here, there, links)
        elif status.st_ino in links:
            os.link(links[status.st_ino], there, follow_symlinks=False)
        else:
            _copy(here, there, status)
            if status.st_nlink > 1:
                links[status.st_ino] = there
    _attributes(layer, over, os.lstat(layer))


def _copy(here: str, there: str, status: os.stat_result) -> None:
    if stat.S_ISREG(status.st_mode):
        shutil.copyfile(here, there)
    elif stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(here), there)
    else:
        os.mknod(there, status.st_mode, status.st_rdev)
    _attributes(here, there, status)


def _attributes(here: str, there: str, status: os.stat_result) -> None:
    os.chown(there, status.st_uid, status.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(there, stat.S_IMODE(status.st_mode))
        for name, value in tar.xattrs(here).items():
            os.setxattr(there, name, value)
    os.utime(there, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def _clear(path: str) -> None:
    if _is_directory(path):
        remove_tree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def _compare(tree: str, path: str, stack: list[str]) -> Iterator[Change]:
    """Deletions before additions in each directory; a directory is named before what is in it."""
    present = set(os.listdir(tree + path))
    for name in sorted(_below(stack, path) - present):
        yield Change(path=f"{path}/{name}", kind=2)
    for name in sorted(present):
        inside = f"{path}/{name}"
        status = os.lstat(tree + inside)
        below = lower(stack, inside)
        within: list[Change] = []
        if stat.S_ISDIR(status.st_mode):
            replaces = below is not None and not stat.S_ISDIR(below.st_mode)
            within = list(_compare(tree, inside, [] if replaces else stack))
        if below is None:
            yield Change(path=inside, kind=1)
        elif within or _traits(status) != _traits(below):
            yield Change(path=inside, kind=0)
        yield from within


def _below(stack: list[str], path: str) -> set[str]:
    """The names that the layers show in a directory."""
    names = {
        name for layer in stack if _is_directory(layer + path) for name in os.listdir(layer + path)
    }
    return {name for name in names if lower(stack, f"{path}/{name}") is not None}


def _traits(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file does; a directory's size is no such thing."""
    own = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns)
    return own if stat.S_ISDIR(status.st_mode) else (*own, status.st_size, status.st_rdev)
