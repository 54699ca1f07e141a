"""What no image and no container names is removed: mark from the database, sweep the disk.

It runs at any time, beside pulls, pushes and builds. The order is what makes that safe: first it
lists what is on the disk, then it marks what the database names, then it removes what is listed,
unmarked and under no lease (`leases`). What came after the list is no candidate; what is found
again after the mark is held by the lease of the finder.
"""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from typing import TYPE_CHECKING

from sampan.engine.images import leases
from sampan.image import platforms
from sampan.kit.threads import in_thread
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sampan.engine.engine import Engine

    Candidates = tuple[list[str], list[str], list[str]]  # blobs, layers, writable layers
    Roots = Callable[[], Iterable[str]]


PARTIAL = 24 * 3600  # seconds that a download which nobody goes on with is kept


class Collector:
    """`roots` are asked at each mark: digests, `leases.layer(…)`, `leases.key(…)` that stay."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._one = asyncio.Lock()
        self._alarm: asyncio.TimerHandle | None = None
        self.roots: list[Roots] = []

    async def start(self) -> None:
        """What a crash left goes beside the first requests; what they bring is not looked at."""
        left = await in_thread(_candidates, self._engine)
        self._engine.spawn(self.collect(left), "collecting garbage")

    async def collect(self, among: Candidates | None = None) -> int:
        """Remove what nothing needs; the bytes of the blobs and layers that went."""
        engine = self._engine
        async with self._one:
            with engine.images.leases.looking():
                if among is None:
                    among = await in_thread(_candidates, engine)
                tops, stay = _named(engine)
                for roots in self.roots:
                    stay |= set(roots())
                freed = await in_thread(_sweep, engine, among, tops, stay)
        self.wake()
        return freed

    def wake(self, *, soon: bool = False) -> None:
        """Collect at once, or when the time of what a failed pull left is over."""
        self.stop()
        held = self._engine.images.leases
        due = held.now() if soon else held.next_expiry()
        if due is not None and not self._engine.stopping:
            seconds = max(due - held.now(), 0) / 10**9
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(
                seconds, lambda: self._engine.spawn(self.collect(), "collecting garbage")
            )

    def stop(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


def _candidates(engine: Engine) -> Candidates:
    snapshots = engine.snapshots
    return [*engine.store.walk()], [*snapshots.layers()], [*snapshots.keys()]


def _named(engine: Engine) -> tuple[set[str], set[str]]:
    """Manifests and indexes that rows name, and the other resources that they do."""
    tops: set[str] = set()
    stay: set[str] = {leases.key(row[0]) for row in engine.db.rows("select id from containers")}
    for row in engine.db.rows("select id, manifest, config from images"):
        tops.add(row["manifest"])
        stay.add(row["id"])
        diff_ids = (json.loads(row["config"]).get("rootfs") or {}).get("diff_ids") or []
        stay |= {leases.layer(chain) for chain in oci_image.chain_ids(diff_ids)}
    tops |= {row[0] for row in engine.db.rows("select distinct target from names")}
    return tops, stay


def _sweep(
    engine: Engine,
    candidates: Candidates,
    tops: set[str],
    stay: set[str],
) -> int:
    blobs, chains, keys = candidates
    held, freed = engine.images.leases, 0
    named = stay | set(platforms.reachable(engine.store, tops))
    for digest in blobs:
        if digest not in named:
            size = engine.store.size(digest)
            freed += size if held.sweep_blob(digest) else 0
    for snapshot in keys:
        _remove(held, leases.key(snapshot), stay, partial(engine.snapshots.remove, snapshot))
    for chain in chains:
        size = engine.snapshots.layer_size(chain) if leases.layer(chain) not in stay else 0
        remove = partial(engine.snapshots.remove_layer, chain)
        freed += size if _remove(held, leases.layer(chain), stay, remove) else 0
    return freed + engine.store.collect(time.time() - PARTIAL)


def _remove(held: leases.Leases, resource: str, stay: set[str], remove: Callable[[], None]) -> bool:
    if resource in stay or not held.doom(resource):
        return False
    try:
        remove()
    finally:
        held.gone(resource)
    return True
