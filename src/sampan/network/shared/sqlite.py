"""A `NetworkStore` in an SQLite file: one host, or several engines on one host.

    SqliteStore("/var/lib/sampan/networks.db", ttl=60, hold=86400)

A change by another process is heard of by inotify on the file's directory. Leases end by the
host's clock, and whoever comes next takes away what hung on them.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sampan.linux import inotify
from sampan.network.shared.store import Changes, Life, NetworkStore, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

_SCHEMA = """
create table if not exists leases (id text primary key, ends real not null) strict;
create table if not exists entries (
    key text primary key,
    value text not null,
    lease text                      -- null: forever
) strict;
create index if not exists entries_by_lease on entries(lease);
create table if not exists changes (
    revision integer primary key autoincrement,
    key text not null,
    value text                      -- null: it was deleted
) strict;
"""
_KEPT = 10_000  # changes; who missed more reads everything again


class SqliteStore(NetworkStore):
    """`ttl`, `hold`: seconds that PRESENCE and ADDRESSES last without `keep`."""

    def __init__(self, path: str, *, ttl: int, hold: int) -> None:
        self._path = path
        self._seconds = {Life.PRESENCE: ttl, Life.ADDRESSES: hold}
        self._leases = {life: secrets.token_hex(8) for life in self._seconds}
        self._connection: sqlite3.Connection | None = None

    async def join(self) -> None:
        with self._transaction() as db:
            for life, seconds in self._seconds.items():
                db.execute(
                    "insert into leases values (?1, ?2) on conflict (id) do update set ends = ?2",
                    (self._leases[life], time.time() + seconds),
                )

    async def keep(self) -> None:
        with self._transaction() as db:
            for life, seconds in self._seconds.items():
                values = (time.time() + seconds, self._leases[life])
                if not db.execute("update leases set ends = ? where id = ?", values).rowcount:
                    raise StoreUnavailable(f"our lease ({life.value}) in {self._path} has ended")

    async def read(self) -> tuple[int, dict[str, str]]:
        with self._transaction() as db:
            return _revision(db), dict(db.execute("select key, value from entries").fetchall())

    async def changes(self, revision: int) -> AsyncIterator[tuple[int, Changes]]:
        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        watch = inotify.create()
        loop.add_reader(watch, _heard, watch, woken)
        try:
            inotify.add_watch(watch, os.path.dirname(self._path), inotify.IN.MODIFY)
            while True:
                woken.clear()
                revision, found, ends = self._since(revision)
                if found:
                    yield revision, found
                    continue
                left = None if ends is None else max(ends - time.time(), 0)
                try:
                    await asyncio.wait_for(woken.wait(), left)
                except TimeoutError:
                    pass  # a lease is about to end
        finally:
            loop.remove_reader(watch)
            os.close(watch)

    def _since(self, revision: int) -> tuple[int, Changes, float | None]:
        """(revision now, what changed since, when the next lease ends)."""
        with self._transaction() as db:
            oldest = db.execute("select min(revision) from changes").fetchone()[0]
            if oldest is not None and oldest > revision + 1:
                raise StoreUnavailable(f"{self._path} has forgotten what we missed")
            sql = "select key, value from changes where revision > ? order by revision"
            found: Changes = dict(db.execute(sql, (revision,)).fetchall())
            ends = db.execute("select min(ends) from leases").fetchone()[0]
            return _revision(db), found, ends

    async def claim(self, values: Mapping[str, str], life: Life) -> bool:
        with self._transaction() as db:
            for key, value in values.items():
                held = db.execute("select value from entries where key = ?", (key,)).fetchone()
                if held is not None and held[0] != value:
                    return False
            self._write(db, values, life)
            return True

    async def put(self, values: Mapping[str, str], life: Life) -> None:
        with self._transaction() as db:
            self._write(db, values, life)

    def _write(self, db: sqlite3.Connection, values: Mapping[str, str], life: Life) -> None:
        for key, value in values.items():
            db.execute(
                "insert into entries values (?1, ?2, ?3)"
                " on conflict (key) do update set value = ?2, lease = ?3",
                (key, value, self._leases.get(life)),
            )
            db.execute("insert into changes (key, value) values (?, ?)", (key, value))

    async def delete(self, keys: Sequence[str]) -> None:
        with self._transaction() as db:
            _delete(db, keys)

    async def leave(self) -> None:
        with self._transaction() as db:
            for lease in self._leases.values():
                db.execute("update leases set ends = 0 where id = ?", (lease,))
            _expire(db)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """On the loop's thread, as the engine's database: each is far below a millisecond."""
        try:
            db = self._connection or self._open()
            db.execute("begin immediate")
            try:
                _expire(db)
                yield db
            except BaseException:
                db.execute("rollback")
                raise
            db.execute("commit")
        except sqlite3.Error as e:
            raise StoreUnavailable(f"{self._path}: {e}") from e

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, isolation_level=None)
        try:
            for pragma in ("journal_mode=wal", "synchronous=normal"):
                db.execute(f"pragma {pragma}")
            db.executescript(_SCHEMA)
        except BaseException:
            db.close()
            raise
        self._connection = db
        return db


def _heard(watch: int, woken: asyncio.Event) -> None:
    inotify.read(watch)
    woken.set()


def _revision(db: sqlite3.Connection) -> int:
    found = db.execute("select seq from sqlite_sequence where name = 'changes'").fetchone()
    return int(found[0]) if found else 0


def _expire(db: sqlite3.Connection) -> None:
    ended = [row[0] for row in db.execute("select id from leases where ends <= ?", (time.time(),))]
    for lease in ended:
        keys = [row[0] for row in db.execute("select key from entries where lease = ?", (lease,))]
        _delete(db, keys)
        db.execute("delete from leases where id = ?", (lease,))


def _delete(db: sqlite3.Connection, keys: Sequence[str]) -> None:
    for key in keys:
        if db.execute("delete from entries where key = ?", (key,)).rowcount:
            db.execute("insert into changes (key) values (?)", (key,))
    db.execute(
        "delete from changes where revision <= (select max(revision) from changes) - ?", (_KEPT,)
    )
