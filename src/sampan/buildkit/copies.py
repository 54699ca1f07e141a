"""What a client's directory held when it was last sent: the next build asks only for the rest.

A copy is a directory of `root/build/contexts`: a pack, to which the bytes of changed files are
appended, and an index of all its files, which replaces the one before it. So a build may read its
files while the next one receives others, and a crash in between leaves bytes that nobody names.
Nothing waits for the disk: an index of before the latest boot counts for nothing.
A pack that is mostly waste is begun anew, and copies that nobody asked for in two days go.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from sampan.build import digests
from sampan.kit import atomic
from sampan.kit.record import Record
from sampan.linux import proc

if TYPE_CHECKING:
    from collections.abc import Iterable

_WASTE = 64 << 20  # bytes that a pack may hold in vain, besides as much as it holds for good
_LIFE = 48 * 3600  # seconds; BuildKit keeps its local sources as long


class Kept(Record):
    """A file as it was sent: `stat` is what a change is seen by, `offset` its place in the pack."""

    stat: tuple[Any, ...]
    offset: int


class Copy:
    def __init__(
        self,
        pack: BinaryIO,
        known: dict[str, Kept],
        directory: str = "",
        name: str = "",
        hashed: digests.Digests | None = None,
    ) -> None:
        self.pack, self._known = pack, known
        self._directory, self.name = directory, name
        self.digests = hashed or digests.Digests()
        self.end = os.fstat(pack.fileno()).st_size

    def find(self, path: str, stat: tuple[Any, ...]) -> int | None:
        """The offset of the file's bytes, if it has not changed."""
        kept = self._known.get(path)
        return kept.offset if kept is not None and kept.stat == stat else None

    def room(self, size: int) -> int:
        """The offset of so many new bytes."""
        offset, self.end = self.end, self.end + size
        return offset

    def save(self, kept: dict[str, Kept]) -> None:
        """These are the files from now on."""
        os.truncate(self.pack.fileno(), self.end)  # its last bytes may be a hole
        if not self._directory or kept == self._known:
            return
        listed = [[path, *one.stat, one.offset] for path, one in kept.items()]
        atomic.write(
            f"{self._directory}/index",
            json.dumps({"boot": proc.boot_id(), "pack": self.name, "files": listed}).encode(),
            sync=False,
        )


def passing(root: str) -> Copy:
    """Of a directory that is sent once."""
    return Copy(tempfile.TemporaryFile(dir=_place(root)), {})


def kept(root: str, key: str) -> Copy:
    """The copy of that name (a digest); the first time an empty one."""
    directory = f"{_place(root)}/{key}"
    os.makedirs(directory, mode=0o700, exist_ok=True)
    os.utime(directory)
    _forget_old(_place(root), key)
    known, name = _index(directory)
    path = f"{directory}/{name}"
    live = sum(one.stat[0] for one in known.values())
    if not os.path.exists(path) or os.path.getsize(path) > 2 * live + _WASTE:
        known, name = {}, f"pack-{time.time_ns()}"
    _remove_others(directory, {"index", name})
    fd = os.open(f"{directory}/{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    hashed = digests.kept(root, f"copy {key}", "files of a BuildKit client")
    return Copy(os.fdopen(fd, "r+b"), known, directory, name, hashed)


def _place(root: str) -> str:
    place = f"{root}/build/contexts"
    os.makedirs(place, mode=0o700, exist_ok=True)
    return place


def _index(directory: str) -> tuple[dict[str, Kept], str]:
    try:
        with open(f"{directory}/index", "rb") as file:
            found = json.load(file)
        if found["boot"] != proc.boot_id():
            return {}, "none"
        known = {
            path: Kept(stat=tuple(stat), offset=offset) for path, *stat, offset in found["files"]
        }
        return known, os.path.basename(found["pack"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}, "none"


def _remove_others(directory: str, wanted: Iterable[str]) -> None:
    for name in os.listdir(directory):
        if name not in wanted:
            os.unlink(f"{directory}/{name}")


def _forget_old(place: str, key: str) -> None:
    for entry in os.scandir(place):
        if entry.name != key and entry.is_dir() and entry.stat().st_mtime < time.time() - _LIFE:
            shutil.rmtree(entry.path, ignore_errors=True)
