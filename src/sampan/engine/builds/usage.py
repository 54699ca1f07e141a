"""What builds keep: layers that may be used again, the directories of `RUN --mount=type=cache`, and
the digests of contexts' files.

A layer that an image has, too, is `shared`: forgetting its record frees nothing.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from typing import TYPE_CHECKING

from sampan.build import cache, digests
from sampan.engine import disk_usage
from sampan.engine.builds import caches
from sampan.image import layers, platforms
from sampan.kit import clock
from sampan.kit.record import Record as Base
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Collection

    from sampan.engine.engine import Engine


_CONTEXT = "source.local"


class Record(Base):
    id: str
    kind: str  # BuildKit's: regular, exec.cachemount, source.local
    description: str
    size: int
    used: str  # last, RFC 3339
    created: str
    uses: int = 0
    in_use: bool = False
    shared: bool = False
    blob: bool = False  # its bytes are in the content store

    @property
    def only_here(self) -> bool:
        return self.blob and not self.shared


class Limits(Base):
    """What a prune leaves alone."""

    every: bool = False  # shared ones go, too
    idents: tuple[str, ...] = ()  # only these; their beginnings
    before: int | None = None  # only what was not used since, nanoseconds since 1970
    reserved: int = 0  # bytes that stay in any case; what was used longest ago goes first
    most: int = 0  # bytes that may stay; 0: no bound but the others
    free: int = 0  # bytes that shall be free on the disk

    def kept(self, total: int, free: int) -> int:
        """How many of `total` bytes stay, with `free` ones free now: BuildKit's rule."""
        if not (self.reserved or self.most or self.free):
            return 0
        keep = self.most or (total if self.free else 0)
        if self.free > free:
            keep = min(keep, total - (self.free - free))
        return max(keep, self.reserved)


def image_blobs(engine: Engine) -> set[str]:
    """Digests of all that the images are made of."""
    tops = [row[0] for row in engine.db.rows("select manifest from images")]
    return set(platforms.reachable(engine.store, tops))


def records(engine: Engine, image_blobs: Collection[str]) -> list[Record]:
    """All of them. Blocking: walks the cache directories."""
    root = engine.paths.root
    return [*_layers(engine, image_blobs), *_mounts(caches.place(root)), *_contexts(root)]


def _layers(engine: Engine, image_blobs: Collection[str]) -> list[Record]:
    found: dict[str, Record] = {}
    for row in cache.Records(engine.paths.root).all():
        if row.digest not in found and row.digest in engine.store:
            found[row.digest] = Record(
                id=row.key[:25],
                kind="regular",
                description=row.what or f"layer {row.diff_id}",
                size=row.size,
                used=_moment(row.used),
                created=_moment(row.created),
                uses=row.uses,
                shared=row.digest in image_blobs,
                blob=True,
            )
    return list(found.values())


def _mounts(directory: str) -> list[Record]:
    try:
        names = sorted(name for name in os.listdir(directory) if not name.endswith(".lock"))
    except FileNotFoundError:
        return []
    return [
        Record(
            id=name[:25],
            kind="exec.cachemount",
            description=f"cache mount {caches.told(directory, name)}",
            size=disk_usage.of_tree(f"{directory}/{name}").size,
            used=_moment(_stamp(f"{directory}/{name}.lock")),
            created=_moment(_stamp(f"{directory}/{name}")),
            in_use=_locked(f"{directory}/{name}.lock"),
        )
        for name in names
    ]


def _contexts(root: str) -> list[Record]:
    return [
        Record(
            id=name,
            kind=_CONTEXT,
            description=f"digests of the context {of}",
            size=status.st_size,
            used=_moment(status.st_mtime),
            created=_moment(status.st_mtime),
        )
        for name, of, status in digests.listed(root)
    ]


def _moment(seconds: float) -> str:
    return clock.rfc3339(int(seconds * 10**9))


def _stamp(path: str) -> float:
    return os.stat(path).st_mtime if os.path.exists(path) else 0


def _locked(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


async def prune(engine: Engine, limits: Limits) -> tuple[list[str], int]:
    """The ids of what went, and the bytes that became free."""
    found = await in_thread(records, engine, image_blobs(engine))
    free = shutil.disk_usage(engine.paths.root).free
    gone = await in_thread(_forget, engine.paths.root, _chosen(found, limits, free))
    freed = await engine.images.collect_garbage()
    freed += sum(one.size for one in gone if not one.blob)
    engine.events.publish("builder", "prune", "", {"reclaimed": str(freed)})
    return [one.id for one in gone], freed


def _chosen(found: list[Record], limits: Limits, free: int) -> list[Record]:
    left = sum(one.size for one in found if not one.shared)
    keep = limits.kept(left, free)
    chosen = []
    for one in sorted(found, key=lambda record: clock.parse(record.used)):
        if limits.idents and not one.id.startswith(limits.idents):
            continue
        if one.in_use or (limits.before is not None and clock.parse(one.used) >= limits.before):
            continue
        if one.shared and not limits.every:
            continue
        if keep and left <= keep:
            break
        chosen.append(one)
        left -= 0 if one.shared else one.size
    return chosen


def _forget(root: str, chosen: list[Record]) -> list[Record]:
    """A layer that several steps have made is forgotten for all of them."""
    known = cache.Records(root)
    rows = known.all()
    wanted = {one.id for one in chosen if one.blob}
    blobs = {row.digest for row in rows if row.key[:25] in wanted}
    if blobs:
        known.forget([row.key for row in rows if row.digest in blobs])
    place = caches.place(root)
    names = os.listdir(place) if os.path.isdir(place) else []
    gone = [one for one in chosen if one.blob]
    gone += [one for one in chosen if one.kind == _CONTEXT and digests.forget(root, one.id)]
    for one in chosen:
        name = next((n for n in names if n[:25] == one.id and not n.endswith(".lock")), "")
        if not one.blob and name and _removed(f"{place}/{name}"):
            gone.append(one)
    return gone


def _removed(directory: str) -> bool:
    """Remove a cache mount, unless a step has come to hold it."""
    with open(f"{directory}.lock", "r+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        layers.discard(directory)
        return True
