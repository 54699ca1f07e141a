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

import os
import shutil
import stat
from typing import TYPE_CHECKING, Protocol

from sampan.image import compress, tar
from sampan.image import unpack as unpacking
from sampan.kit import errors
from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO


class SnapshotNotFound(errors.NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f"snapshot {name} does not exist")


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
    why: str  # why it was chosen

    def has(self, chain_id: str) -> bool: ...

    def unpack(
        self, chain_id: str, parent: str | None, layer: BinaryIO, diff_id: str
    ) -> unpacking.Unpacked:
        """Unpack one layer (in any compression); fine if it is there. Layers of one image may be
        unpacked in any order and at once."""

    def prepare(self, key: str, parent: str | None) -> None: ...
    def mounts(self, key: str) -> list[Mount]: ...
    def view(self, chain_id: str | None) -> list[Mount]: ...
    def diff(self, key: str, write: Callable[[bytes], object]) -> None:
        """The writable layer as an OCI layer tar, whiteouts included."""

    def changes(self, key: str) -> list[Change]: ...
    def usage(self, key: str) -> Usage: ...
    def layer_size(self, chain_id: str) -> int: ...
    def layers(self) -> Iterator[str]: ...
    def keys(self) -> Iterator[str]: ...
    def remove(self, key: str) -> None: ...
    def remove_layer(self, chain_id: str) -> None: ...


class Overlay:
    """overlayfs: `root/snapshots/overlay/{l,c}`.

    A layer is `l/N/fs`, N a short number because mount options must fit into a page;
    `l/by-chain/HEX` is a link to N and makes it visible; `l/N/parent` names the chain below,
    `l/N/size` its bytes. A writable layer is `c/KEY/{fs,work}` with `c/KEY/parent`.
    """

    name = "overlay"

    def __init__(self, root: str, why: str = "") -> None:
        self._base = f"{root}/snapshots/overlay"
        self.why = why
        for directory in ("l/by-chain", "c"):
            os.makedirs(f"{self._base}/{directory}", mode=0o711, exist_ok=True)
        self._init = f"{self._base}/init"
        if not os.path.isdir(self._init):
            _make_init(self._init)

    # -- layers

    def has(self, chain_id: str) -> bool:
        return os.path.lexists(self._link(chain_id))

    def unpack(
        self, chain_id: str, parent: str | None, layer: BinaryIO, diff_id: str
    ) -> unpacking.Unpacked:
        if self.has(chain_id):
            size = self.layer_size(chain_id)
            return unpacking.Unpacked(diff_id=diff_id, size=size, entries=0)
        number = self._new_number()
        place = f"{self._base}/l/{number}"
        try:
            os.mkdir(f"{place}/fs", 0o755)
            fd = os.open(f"{place}/fs", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                stream = compress.decompress(compress.chunks(layer))
                done = unpacking.unpack(stream, fd, expected=diff_id)
            finally:
                os.close(fd)
            _put(f"{place}/parent", parent or "")
            _put(f"{place}/size", str(done.size))
            _put(f"{place}/chain", chain_id)
            self._publish(chain_id, number)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        return done

    def _new_number(self) -> str:
        number = len(os.listdir(f"{self._base}/l"))
        while True:
            try:
                os.mkdir(f"{self._base}/l/{number}", 0o711)
            except FileExistsError:
                number += 1
            else:
                return str(number)

    def _publish(self, chain_id: str, number: str) -> None:
        try:
            os.symlink(f"../{number}", self._link(chain_id))
        except FileExistsError:  # somebody else was faster; theirs counts
            shutil.rmtree(f"{self._base}/l/{number}", ignore_errors=True)

    def _link(self, chain_id: str) -> str:
        return f"{self._base}/l/by-chain/{chain_id.replace(':', '-')}"

    def _layer(self, chain_id: str) -> str:
        try:
            number = os.readlink(self._link(chain_id)).rpartition("/")[2]
        except FileNotFoundError:
            raise SnapshotNotFound(chain_id) from None
        return f"{self._base}/l/{number}"

    def _stack(self, chain_id: str | None) -> list[str]:
        """The layers' directories, top first."""
        found = []
        while chain_id:
            place = self._layer(chain_id)
            found.append(f"{place}/fs")
            chain_id = _get(f"{place}/parent")
        return found

    def layer_size(self, chain_id: str) -> int:
        return int(_get(f"{self._layer(chain_id)}/size") or 0)

    def layers(self) -> Iterator[str]:
        for name in os.listdir(f"{self._base}/l/by-chain"):
            yield name.replace("-", ":", 1)

    def remove_layer(self, chain_id: str) -> None:
        try:
            place = self._layer(chain_id)
        except SnapshotNotFound:
            return
        os.unlink(self._link(chain_id))
        shutil.rmtree(place, ignore_errors=True)

    def collect(self) -> None:
        """Remove what a crash left: directories that no link makes visible."""
        seen = {os.readlink(self._link(c)).rpartition("/")[2] for c in self.layers()}
        for name in os.listdir(f"{self._base}/l"):
            if name != "by-chain" and name not in seen:
                shutil.rmtree(f"{self._base}/l/{name}", ignore_errors=True)

    # -- writable layers

    def prepare(self, key: str, parent: str | None) -> None:
        stack = self._stack(parent)  # refuses a parent that is not there
        place = f"{self._base}/c/{key}"
        os.mkdir(place, 0o710)
        os.mkdir(f"{place}/fs", 0o755)
        os.mkdir(f"{place}/work", 0o711)
        if stack:
            status = os.stat(stack[0])
            os.chown(f"{place}/fs", status.st_uid, status.st_gid)
            os.chmod(f"{place}/fs", stat.S_IMODE(status.st_mode))
        _put(f"{place}/parent", parent or "")

    def mounts(self, key: str) -> list[Mount]:
        place = self._place(key)
        stack = self._stack(_get(f"{place}/parent"))
        options = (
            f"lowerdir={':'.join([self._init, *stack])}",
            f"upperdir={place}/fs",
            f"workdir={place}/work",
        )
        return [Mount(type="overlay", source="overlay", options=options)]

    def view(self, chain_id: str | None) -> list[Mount]:
        stack = self._stack(chain_id)
        if len(stack) == 1:
            return [Mount(type="bind", source=stack[0], options=("rbind", "ro"))]
        options = (f"lowerdir={':'.join(stack)}", "ro")
        return [Mount(type="overlay", source="overlay", options=options)]

    def _place(self, key: str) -> str:
        place = f"{self._base}/c/{key}"
        if not os.path.isdir(place):
            raise SnapshotNotFound(key)
        return place

    def keys(self) -> Iterator[str]:
        yield from os.listdir(f"{self._base}/c")

    def usage(self, key: str) -> Usage:
        size = inodes = 0
        for directory, names, files in os.walk(f"{self._place(key)}/fs"):
            inodes += len(names) + len(files)
            for name in files:
                status = os.lstat(f"{directory}/{name}")
                size += status.st_size if stat.S_ISREG(status.st_mode) else 0
        return Usage(size=size, inodes=inodes)

    def changes(self, key: str) -> list[Change]:
        place = self._place(key)
        stack = self._stack(_get(f"{place}/parent"))
        found: list[Change] = []
        _compare(f"{place}/fs", "", [self._init, *stack], found)
        return found

    def diff(self, key: str, write: Callable[[bytes], object]) -> None:
        writer = tar.Writer(write)
        seen: dict[tuple[int, int], str] = {}
        _write_upper(writer, f"{self._place(key)}/fs", "", seen)
        writer.finish()

    def remove(self, key: str) -> None:
        shutil.rmtree(f"{self._base}/c/{key}", ignore_errors=True)


def choose(root: str) -> Snapshotter:
    """The best snapshotter that this host and this directory can do."""
    return Overlay(root, "overlayfs is the kernel's own")


def _make_init(place: str) -> None:
    """What the runtime mounts over, as the layer between image and container: so that the mount
    points it would have to make do not show as the container's own changes (as dockerd's -init)."""
    made = f"{place}.new"
    shutil.rmtree(made, ignore_errors=True)
    for name in ("dev/pts", "dev/shm", "etc", "proc", "sys"):
        os.makedirs(f"{made}/{name}", mode=0o755, exist_ok=True)
    for name in ("dev/console", "etc/hostname", "etc/hosts", "etc/resolv.conf"):
        os.close(os.open(f"{made}/{name}", os.O_CREAT | os.O_CLOEXEC, 0o644))
    try:
        os.rename(made, place)
    except OSError:  # another process was faster
        shutil.rmtree(made, ignore_errors=True)


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(path: str) -> bool:
    try:
        return os.getxattr(path, "trusted.overlay.opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False


def _compare(upper: str, path: str, stack: list[str], found: list[Change]) -> None:
    for name in sorted(os.listdir(upper)):
        here, inside = f"{upper}/{name}", f"{path}/{name}"
        status = os.lstat(here)
        below = _lower(stack, inside)
        if _is_whiteout(status):
            if below is not None:
                found.append(Change(path=inside, kind=2))
            continue
        found.append(Change(path=inside, kind=1 if below is None else 0))
        if stat.S_ISDIR(status.st_mode):
            _compare(here, inside, [] if _is_opaque(here) else stack, found)


def _lower(stack: list[str], path: str) -> os.stat_result | None:
    """What the layers below show at a path."""
    for layer in stack:
        try:
            status = os.lstat(layer + path)
        except FileNotFoundError:
            if any(_hides(layer, path)):
                return None
            continue
        except NotADirectoryError:
            return None
        return None if _is_whiteout(status) else status
    return None


def _hides(layer: str, path: str) -> Iterator[bool]:
    """Whether a parent is opaque, or whited out, in this layer."""
    parts = path.strip("/").split("/")[:-1]
    for count in range(1, len(parts) + 1):
        above = f"{layer}/{'/'.join(parts[:count])}"
        try:
            yield _is_whiteout(os.lstat(above)) or _is_opaque(above)
        except OSError:
            return


def _write_upper(
    writer: tar.Writer, path: str, name: str, seen: dict[tuple[int, int], str]
) -> None:
    """A writable layer in the order layer.md asks for: whiteouts before their siblings."""
    children = sorted(os.listdir(path))
    if name and _is_opaque(path):
        writer.add(tar.Entry(f"{name}/.wh..wh..opq", mode=0o600))
    plain = []
    for child in children:
        inside = f"{name}/{child}" if name else child
        if _is_whiteout(os.lstat(f"{path}/{child}")):
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


def _put(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _get(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
