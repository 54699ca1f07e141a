"""Leases: what must stay although no image names it yet.

    with engine.images.lease("pull busybox") as lease:
        lease.store                  a content store: what is found in it or written to it, stays
        await lease.layer(chain_id)  an unpacked layer stays
        lease.key(container_id)      a writable layer stays

Bytes come in before the rows that name them, so whoever brings some does it under a lease. The
collector (`garbage`) may run at any moment: it looks first, marks then, and counts every lease
that was alive since it looked. A lease ends with its block; `keep` lets what came stay for an hour
when the block fails, so that trying again is cheap. Leases are written down as they grow: those of
an engine that was killed last an hour from their latest growth. One that is not `lasting` is only
in memory, for work that a crash undoes anyway.
"""

from __future__ import annotations

import secrets
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from sampan.kit import clock
from sampan.kit.threads import in_own_thread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator

    from sampan.engine.db import Database
    from sampan.image.content import ContentStore, Ingest
    from sampan.spec.oci_image import Digest

LIFE = 3600 * 10**9  # nanoseconds that what is left of a lease stays


def layer(chain_id: str) -> str:
    """The resource name of an unpacked layer; a blob's is its digest."""
    return f"layer:{chain_id}"


def key(snapshot: str) -> str:
    """The resource name of a writable layer."""
    return f"key:{snapshot}"


class Lease:
    def __init__(self, leases: Leases, name: str, *, lasting: bool) -> None:
        self.id = f"{name} {secrets.token_hex(4)}".strip()
        self.lasting = lasting
        self.held: set[str] = set()
        self.expires: int | None = None  # None: its block runs
        self._leases = leases
        self.store = LeasedStore(leases.store, self)

    def hold(self, resource: str) -> None:
        """From here on it stays, if it is there; asked after that, it is for certain."""
        self._leases.hold(self, resource)

    def hold_all(self, resources: Iterable[str]) -> None:
        for resource in resources:
            self.hold(resource)

    def key(self, snapshot: str) -> None:
        self.hold(key(snapshot))

    async def layer(self, chain_id: str) -> None:
        resource = layer(chain_id)
        self.hold(resource)
        if self._leases.is_doomed(resource):
            await in_own_thread(self._leases.wait_until_gone, resource)


class Leases:
    """All leases of an engine. `hold` may be called from any thread."""

    def __init__(
        self, db: Database, store: ContentStore, now: Callable[[], int] = time.time_ns
    ) -> None:
        self.store, self.now = store, now
        self._db = db
        self._lock = threading.Lock()
        self._doomed: set[str] = set()  # held by nobody, and being removed right now
        self._removed = threading.Condition(self._lock)
        self._alive: list[Lease] = []
        self._ended: list[Lease] = []  # since the collector looked
        self._looking = 0
        self._grown: list[tuple[Lease, str]] = []  # not written down yet
        self._load()

    def _load(self) -> None:
        """What an engine that was killed left."""
        found: dict[str, Lease] = {}
        for row in self._db.rows("select id, resource, expires from leases"):
            left = found.get(row["id"])
            if left is None:
                left = found[row["id"]] = Lease(self, "", lasting=True)
                left.id = row["id"]
            left.held.add(row["resource"])
            left.expires = max(left.expires or 0, clock.parse(row["expires"]))
        self._alive += found.values()

    @contextmanager
    def lease(self, name: str = "", *, lasting: bool = True, keep: bool = False) -> Iterator[Lease]:
        made = Lease(self, name, lasting=lasting)
        with self._lock:
            self._alive.append(made)
        try:
            yield made
        except BaseException:
            if keep and made.held:
                made.expires = self.now() + LIFE
                self._write_down()
            else:
                self._end(made)
            raise
        self._end(made)

    def _end(self, ended: Lease) -> None:
        with self._lock:
            self._alive.remove(ended)
            if self._looking:
                self._ended.append(ended)
            self._grown = [grown for grown in self._grown if grown[0] is not ended]
        if ended.lasting:
            self._db.execute("delete from leases where id = ?", (ended.id,))

    def hold(self, lease: Lease, resource: str) -> None:
        with self._lock:
            if resource in lease.held:
                return
            lease.held.add(resource)
            if not lease.lasting:
                return
            self._grown.append((lease, resource))
            first = len(self._grown) == 1
        if first and self._loop is not None:
            self._loop.call_soon_threadsafe(self._write_down)

    _loop: asyncio.AbstractEventLoop | None = None

    def write_on(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """The loop whose thread owns the database; None: nothing is written down any more."""
        self._loop = loop

    def _write_down(self) -> None:
        with self._lock:
            grown, self._grown = self._grown, []
        if self._loop is None or not grown:
            return
        expires = clock.rfc3339(self.now() + LIFE)
        with self._db.transaction():
            for lease in {lease.id for lease, _ in grown}:
                self._db.execute("update leases set expires = ? where id = ?", (expires, lease))
            self._db.execute_many(
                "insert or replace into leases (id, resource, expires) values (?, ?, ?)",
                [(lease.id, resource, expires) for lease, resource in grown],
            )

    # -- for the collector

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Meanwhile leases that end still count."""
        self._expire()
        with self._lock:
            self._looking += 1
        try:
            yield
        finally:
            with self._lock:
                self._looking -= 1
                if not self._looking:
                    self._ended.clear()

    def _expire(self) -> None:
        now = self.now()
        for lease in [one for one in self._alive if one.expires is not None]:
            if lease.expires is not None and lease.expires <= now:
                self._end(lease)

    def next_expiry(self) -> int | None:
        """When the first of what is only kept falls due, in nanoseconds since 1970."""
        return min((one.expires for one in self._alive if one.expires is not None), default=None)

    def doom(self, resource: str) -> bool:
        """True: nobody holds it, and who asks for it now waits until it is `gone`."""
        with self._lock:
            if any(resource in lease.held for lease in (*self._alive, *self._ended)):
                return False
            self._doomed.add(resource)
            return True

    def gone(self, resource: str) -> None:
        with self._lock:
            self._doomed.discard(resource)
            self._removed.notify_all()

    def is_doomed(self, resource: str) -> bool:
        return resource in self._doomed

    def wait_until_gone(self, resource: str) -> None:
        with self._lock:
            self._removed.wait_for(lambda: resource not in self._doomed)

    def sweep_blob(self, digest: str) -> bool:
        """Delete a blob unless somebody holds it; one step for those who hold meanwhile."""
        with self._lock:
            if any(digest in lease.held for lease in (*self._alive, *self._ended)):
                return False
            self.store.delete(digest)
            return True


class LeasedStore:
    """The content store, seen through a lease: it holds whatever it is asked for or is given.

    Each digest is held before the store is asked, so what the answer says stays true.
    """

    def __init__(self, store: ContentStore, lease: Lease) -> None:
        self._store, self._lease = store, lease

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LeasedStore) and other._store is self._store

    def __hash__(self) -> int:
        return hash(self._store)  # who shares work by store shares it between leases

    def open(self, digest: str) -> BinaryIO:
        self._lease.hold(digest)
        return self._store.open(digest)

    def size(self, digest: str) -> int:
        self._lease.hold(digest)
        return self._store.size(digest)

    def __contains__(self, digest: str) -> bool:
        self._lease.hold(digest)
        return digest in self._store

    @contextmanager
    def write(self, name: str | None = None) -> Iterator[Ingest]:
        with self._store.write(name) as ingest:
            ingest.announce = self._lease.hold
            yield ingest

    def part(self, name: str) -> BinaryIO:
        return self._store.part(name)

    def abandon(self, name: str) -> None:
        self._store.abandon(name)

    def delete(self, digest: str) -> None:
        """Nothing: others may hold it. What nobody names is collected."""

    def walk(self) -> Iterator[Digest]:
        return self._store.walk()
