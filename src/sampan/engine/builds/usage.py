"""What builds keep for later: layers of steps, and cache mounts; `system df`, `builder prune`.

A layer's bytes that an image has, too, are *shared*: forgetting the step frees nothing. A cache
mount that a step uses right now is *in use*, and stays.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from sampan.build import cache
from sampan.engine import disk_usage
from sampan.engine.builds import caches
from sampan.image import layers, platforms
from sampan.kit.record import Record
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from sampan.engine.engine import Engine

LAYER, MOUNT = "regular", "exec.cachemount"


class Kept(Record):
    ident: str
    kind: str  # LAYER, MOUNT
    what: str
    size: int  # bytes
    created: float  # seconds since 1970
    used: float
    uses: int = 0
    shared: bool = False
    in_use: bool = False


class Limits(Record):
    """What prune leaves alone."""

    every: bool = False  # shared ones, too
    idents: tuple[str, ...] = ()  # only these; their beginnings
    before: float | None = None  # only what was not used since, seconds since 1970
    keep: int = 0  # bytes that may stay: what was used longest ago goes first


async def kept(engine: Engine) -> list[Kept]:
    """Those that were used longest ago first."""
    manifests = [row["manifest"] for row in engine.db.rows("select manifest from images")]
    return await in_thread(_kept, engine, manifests)


def _kept(engine: Engine, manifests: list[str]) -> list[Kept]:
    held = set(platforms.reachable(engine.store, manifests))
    found = [
        Kept(
            ident=known.key[:25],
            kind=LAYER,
            what=known.what,
            size=known.size,
            created=known.created,
            used=known.used,
            uses=known.uses,
            shared=known.digest in held,
        )
        for known in cache.Records(engine.paths.root).list()
    ]
    return sorted([*found, *_mounts(engine.paths.root)], key=lambda one: one.used)


def _mounts(root: str) -> list[Kept]:
    place = caches.place(root)
    found = []
    for name in os.listdir(place) if os.path.isdir(place) else ():
        lock = f"{place}/{name}.lock"
        if name.endswith(".lock") or not os.path.exists(lock):
            continue
        status = os.stat(lock)
        found.append(
            Kept(
                ident=name[:25],
                kind=MOUNT,
                what=f"cache mount {caches.told(place, name)}",
                size=disk_usage.of_tree(f"{place}/{name}").size,
                created=os.stat(f"{place}/{name}").st_ctime,
                used=status.st_mtime,
                in_use=not _removed(place, name, really=False),
            )
        )
    return found


async def prune(engine: Engine, limits: Limits) -> tuple[list[str], int]:
    """The idents of what went, and its bytes that no image holds."""
    chosen = _chosen(await kept(engine), limits)
    gone = await in_thread(_forget, engine.paths.root, chosen)
    await engine.images.collect_garbage()
    return [one.ident for one in gone], sum(one.size for one in gone if not one.shared)


def _chosen(found: list[Kept], limits: Limits) -> list[Kept]:
    left = sum(one.size for one in found if not one.shared)
    chosen = []
    for one in found:
        if limits.idents and not one.ident.startswith(limits.idents):
            continue
        if one.in_use or (limits.before is not None and one.used >= limits.before):
            continue
        if one.shared and not limits.every:
            continue
        if limits.keep and left <= limits.keep:
            break
        chosen.append(one)
        left -= 0 if one.shared else one.size
    return chosen


def _forget(root: str, chosen: list[Kept]) -> list[Kept]:
    records = cache.Records(root)
    wanted = {one.ident for one in chosen if one.kind == LAYER}
    keys = [known.key for known in records.list() if known.key[:25] in wanted]
    if keys:
        records.forget(keys)
    place = caches.place(root)
    names = os.listdir(place) if os.path.isdir(place) else []
    gone = [one for one in chosen if one.kind == LAYER]
    for one in chosen:
        name = next((n for n in names if n[:25] == one.ident and not n.endswith(".lock")), "")
        if one.kind == MOUNT and name and _removed(place, name, really=True):
            gone.append(one)
    return gone


def _removed(place: str, name: str, *, really: bool) -> bool:
    """Remove a cache mount, or only see whether that could be done: a step may hold it."""
    lock = os.open(f"{place}/{name}.lock", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if really:
            layers.discard(f"{place}/{name}")
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
