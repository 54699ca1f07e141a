"""Snapshots: unpacked layers, stacked, and one writable layer for each container.

A *layer* is what one layer tar unpacks to, named by the chain id of the stack that it tops; it
never changes. A *writable layer* is a container's own, named by a key (its id). Where they are
mounted is nobody's business here: `mounts` says what the runtime mounts inside the container's
namespace.

Life of a layer: `unpack` (or `adopt`, a container's writable layer turned into one), any number of
uses, `remove_layer` when nothing names it. It becomes visible by rename, whole. Life of a writable
layer: `prepare`, `mounts` at each start, `changes` and `diff` for those who ask, `remove`.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Protocol

from sampan.image import compress, tar
from sampan.image.layers import (
    Layers,
    SnapshotNotFound,
    discard,
    get,
    is_opaque,
    is_whiteout,
    lower,
    put,
)
from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sampan.image import unpack as unpacking
    from sampan.image.erofs.making import Making

# Whatever the kernel was built or told to do, what a container changed is plain to read: no
# directory that only refers to a lower one, no file whose contents are still below.
_PLAIN = ("redirect_dir=off", "metacopy=off", "index=off")


class Mount(Record):
    type: str
    source: str
    options: tuple[str, ...]
    destination: str = "/"


class Usage(Record):
    size: int
    inodes: int


class Change(Record):
    """One path that a container changed: kind 0 modified, 1 added, 2 deleted (docker diff)."""

    path: str
    kind: int


class Snapshotter(Protocol):
    name: str
    directory: str  # the kind of its layers, below root/snapshots
    why: str  # why it was chosen

    def has(self, chain_id: str) -> bool: ...

    def unpack(
        self, chain_id: str, parent: str | None, layer: compress.Readable, diff_id: str
    ) -> unpacking.Unpacked:
        """Unpack one layer (in any compression); fine if it is there. Layers of one image may be
        unpacked in any order and at once."""

    def prepare(self, key: str, parent: str | None) -> None: ...
    def mounts(self, key: str, between: tuple[str, ...] = ()) -> list[Mount]:
        """What shows the writable layer over its parents. `between` are directories that lie
        between the two, top first: content of nobody's, such as mount points."""

    def view(self, chain_id: str | None) -> list[Mount]: ...
    def stack(self, chain_id: str | None) -> list[str]:
        """The layers' trees, top first, whiteouts as overlayfs has them."""

    def making(self) -> Making | None:
        """A new layer, filled while its tar is written (erofs.making has its life); None where a
        layer has to be unpacked."""

    def diff(self, key: str, writer: tar.Writer) -> None:
        """The writable layer as an OCI layer tar, whiteouts included."""

    def changes(self, key: str, between: tuple[str, ...] = ()) -> list[Change]:
        """What the writable layer has that parents and `between` have not."""

    def remove_empty(self, key: str, paths: Iterable[str]) -> None:
        """Those of the writable layer's directories and files that nothing is in, in this order."""

    def usage(self, key: str) -> Usage: ...
    def places(self, key: str) -> dict[str, str]:
        """Docker's GraphDriver.Data of a writable layer: where on the disk it is."""

    def layer_places(self, chain_id: str | None) -> dict[str, str]:
        """The same of a stack of layers; empty where they are not here."""

    def layer_size(self, chain_id: str) -> int: ...
    def layers(self) -> Iterator[str]: ...
    def keys(self) -> Iterator[str]: ...
    def remove(self, key: str) -> None: ...
    def remove_layer(self, chain_id: str) -> None: ...
    def collect(self) -> None:
        """Remove what a crash left; what is being unpacked meanwhile stays."""

    def close(self) -> None:
        """Leave nothing mounted on the host."""


class Overlay(Layers):
    """overlayfs: layers below, and `root/snapshots/overlay/c/KEY/{fs,work,parent}` on top."""

    name = "overlay"

    def __init__(self, root: str, why: str = "") -> None:
        super().__init__(root)
        self.why = why
        self._writable = f"{self._base}/c"
        os.makedirs(self._writable, mode=0o711, exist_ok=True)

    def prepare(self, key: str, parent: str | None) -> None:
        stack = self.stack(parent)  # refuses a parent that is not there
        place = f"{self._writable}/{key}"
        os.mkdir(place, 0o710)
        os.mkdir(f"{place}/fs", 0o755)
        os.mkdir(f"{place}/work", 0o711)
        if stack:
            status = os.stat(stack[0])
            os.chown(f"{place}/fs", status.st_uid, status.st_gid)
            os.chmod(f"{place}/fs", stat.S_IMODE(status.st_mode))
            times = (status.st_atime_ns, status.st_mtime_ns)
            os.utime(f"{place}/fs", ns=times)
        put(f"{place}/parent", parent or "")

    def mounts(self, key: str, between: tuple[str, ...] = ()) -> list[Mount]:
        place = self._place(key)
        stack = [*between, *self.stack(get(f"{place}/parent"))]
        if not stack:
            return [Mount(type="bind", source=f"{place}/fs", options=("rbind", "rw"))]
        options = (
            f"lowerdir={':'.join(stack)}",
            f"upperdir={place}/fs",
            f"workdir={place}/work",
            *_PLAIN,
        )
        return [Mount(type="overlay", source="overlay", options=options)]

    def view(self, chain_id: str | None) -> list[Mount]:
        stack = self.stack(chain_id) or [self.empty()]
        if len(stack) == 1:
            return [Mount(type="bind", source=stack[0], options=("rbind", "ro"))]
        options = (f"lowerdir={':'.join(stack)}", "ro")
        return [Mount(type="overlay", source="overlay", options=options)]

    def places(self, key: str) -> dict[str, str]:
        if key not in self.keys():
            return {}
        place = self._place(key)
        return {"UpperDir": f"{place}/fs", "WorkDir": f"{place}/work"}

    def layer_places(self, chain_id: str | None) -> dict[str, str]:
        found: list[str] = []
        while chain_id:
            if not self.has(chain_id):
                return {}
            found.append(self.layer(chain_id))
            chain_id = get(f"{found[-1]}/parent")
        names = [f"{place}/{self.kept_as}" for place in found]
        below = {"LowerDir": ":".join(names[1:])} if names[1:] else {}
        return {"UpperDir": names[0], **below} if names else {}

    def _parents(self, key: str) -> list[str]:
        return self.stack(get(f"{self._place(key)}/parent"))

    def remove_empty(self, key: str, paths: Iterable[str]) -> None:
        top = os.path.realpath(f"{self._place(key)}/fs")
        for path in paths:
            place = f"{top}/{path}"
            # A link that the container put on the way would lead out of its files.
            if os.path.realpath(os.path.dirname(place)) == os.path.dirname(place):
                with contextlib.suppress(OSError):  # made into something else, or in use: it stays
                    status = os.lstat(place)
                    if stat.S_ISREG(status.st_mode) and not status.st_size:
                        os.unlink(place)
                    else:
                        os.rmdir(place)

    def _place(self, key: str) -> str:
        place = f"{self._writable}/{key}"
        if not os.path.isdir(place):
            raise SnapshotNotFound(key)
        return place

    def keys(self) -> Iterator[str]:
        yield from (key for key in os.listdir(self._writable) if not key.startswith("."))

    def usage(self, key: str) -> Usage:
        size = inodes = 0
        for directory, names, files in os.walk(f"{self._place(key)}/fs"):
            inodes += len(names) + len(files)
            for name in files:
                with contextlib.suppress(FileNotFoundError):  # its container runs, and removed it
                    status = os.lstat(f"{directory}/{name}")
                    size += status.st_size if stat.S_ISREG(status.st_mode) else 0
        return Usage(size=size, inodes=inodes)

    def changes(self, key: str, between: tuple[str, ...] = ()) -> list[Change]:
        place = self._place(key)
        stack = [*between, *self.stack(get(f"{place}/parent"))]
        found: list[Change] = []
        _compare(f"{place}/fs", "", stack, found)
        return found

    def diff(self, key: str, writer: tar.Writer) -> None:
        seen: dict[tuple[int, int], str] = {}
        _write_upper(writer, f"{self._place(key)}/fs", "", seen)
        writer.finish()

    def remove(self, key: str) -> None:
        """Gone at once by its name; then its files, however many."""
        hidden = f"{self._writable}/.{key}"
        try:
            os.rename(f"{self._writable}/{key}", hidden)
        except FileNotFoundError:
            return
        discard(hidden)

    def collect(self) -> None:
        super().collect()
        for name in os.listdir(self._writable):
            if name.startswith("."):
                discard(f"{self._writable}/{name}")

    def close(self) -> None:
        pass


def _compare(upper: str, path: str, stack: list[str], found: list[Change]) -> None:
    for name in sorted(os.listdir(upper)):
        here, inside = f"{upper}/{name}", f"{path}/{name}"
        status = os.lstat(here)
        below = lower(stack, inside)
        if is_whiteout(status):
            if below is not None:
                found.append(Change(path=inside, kind=2))
            continue
        found.append(Change(path=inside, kind=1 if below is None else 0))
        if stat.S_ISDIR(status.st_mode):
            _compare(here, inside, [] if is_opaque(here) else stack, found)


def _write_upper(
    writer: tar.Writer, path: str, name: str, seen: dict[tuple[int, int], str]
) -> None:
    """A writable layer in the order layer.md asks for: whiteouts before their siblings."""
    children = sorted(os.listdir(path))
    if name and is_opaque(path):
        writer.add(tar.Entry(f"{name}/.wh..wh..opq", mode=0o600))
    plain = []
    for child in children:
        inside = f"{name}/{child}" if name else child
        if is_whiteout(os.lstat(f"{path}/{child}")):
            above = f"{name}/" if name else ""
            writer.add(tar.Entry(f"{above}.wh.{child}", mode=0o600))
        else:
            plain.append((child, inside))
    for child, inside in plain:
        here = f"{path}/{child}"
        status = os.lstat(here)
        if stat.S_ISDIR(status.st_mode):
            writer.begin(tar.entry_of(here, inside, status))
            _write_upper(writer, here, inside, seen)
        else:
            tar.write_one(writer, here, inside, status, seen)
