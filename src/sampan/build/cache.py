"""What earlier builds made: key → layer, in an SQLite file of the room's own, root/build/cache.db.

A key is a digest of all that decides about a step's result, so that a record is never wrong, only
unused. The records keep their blobs from the garbage collector (`digests`); beyond the budget those
that were used longest ago go. Each use opens the file: builds run in threads of their own.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from typing import NamedTuple

from sampan.build.state import Layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

BUDGET = 10 << 30  # bytes of compressed layers

_SCHEMA = """
drop table if exists layers;        -- of an earlier version
create table if not exists steps (
    key text primary key,
    digest text not null,
    descriptor text not null,       -- of the layer's blob, JSON
    diff_id text not null,
    size integer not null,
    used real not null,             -- seconds since 1970
    created real not null default 0,
    uses integer not null default 0,
    what text not null default ''   -- the instruction
) strict;
create table if not exists seen (       -- steps that only change the config
    key text primary key,
    used real not null
) strict;
create table if not exists traces (     -- what a step's key was made of
    ident text primary key,
    trace blob not null,
    used real not null
) strict;
"""
_TRACES = 1000  # so many are kept


def key(kind: str, **parts: Any) -> str:
    text = json.dumps({"": kind, **parts}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Row(NamedTuple):
    key: str
    digest: str
    diff_id: str
    size: int  # bytes of the blob
    used: float  # seconds since 1970
    created: float
    uses: int
    what: str  # the instruction


# A new file is made by one stage alone: SQLite does not wait for a lock when it turns WAL on.
_opening = threading.Lock()


class Records:
    def __init__(self, root: str, budget: int = BUDGET) -> None:
        self._path, self._budget = f"{root}/build/cache.db", budget
        self._keeps = False
        self._kept: sqlite3.Connection | None = None
        self._using = threading.Lock()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """From its first use on open, for the time of a build: it has many questions."""
        self._keeps = True
        try:
            yield
        finally:
            with self._using:
                self._keeps = False
                kept, self._kept = self._kept, None
            if kept is not None:
                kept.close()

    @contextmanager
    def _use(self) -> Iterator[sqlite3.Connection]:
        with self._using:
            if self._keeps:
                self._kept = self._kept or self._open()
                yield self._kept
                return
        with closing(self._open()) as db:
            yield db

    def _open(self) -> sqlite3.Connection:
        os.makedirs(os.path.dirname(self._path), mode=0o711, exist_ok=True)
        connection = sqlite3.connect(
            self._path, isolation_level=None, timeout=30, check_same_thread=False
        )
        with _opening:
            connection.execute("pragma journal_mode=wal")
            connection.execute("pragma synchronous=normal")
            connection.executescript(_SCHEMA)
        return connection

    def get(self, key: str) -> Layer | None:
        with self._use() as db:
            row = db.execute(
                "select descriptor, diff_id from steps where key = ?", (key,)
            ).fetchone()
            if row is None:
                return None
            db.execute(
                "update steps set used = ?, uses = uses + 1 where key = ?", (time.time(), key)
            )
        return Layer(descriptor=json.loads(row[0]), diff_id=row[1])

    def put(self, key: str, layer: Layer, what: str) -> None:
        digest, size = layer.descriptor["digest"], layer.descriptor["size"]
        text = json.dumps(layer.descriptor)
        with self._use() as db:
            db.execute(
                "insert or replace into steps"
                " (key, digest, descriptor, diff_id, size, used, created, what)"
                " values (?, ?, ?, ?, ?, ?, ?, ?)",
                (key, digest, text, layer.diff_id, size, time.time(), time.time(), what),
            )
            self._shrink(db)

    def put_trace(self, ident: str, trace: bytes) -> None:
        with self._use() as db:
            db.execute(
                "insert or replace into traces values (?, ?, ?)", (ident, trace, time.time())
            )
            db.execute(
                "delete from traces where ident in"
                " (select ident from traces order by used desc limit -1 offset ?)",
                (_TRACES,),
            )

    def trace(self, ident: str) -> bytes | None:
        with self._use() as db:
            row = db.execute("select trace from traces where ident = ?", (ident,)).fetchone()
        return row[0] if row else None

    def see(self, key: str) -> bool:
        """Whether it was seen before."""
        with self._use() as db:
            known = db.execute("select 1 from seen where key = ?", (key,)).fetchone()
            db.execute("insert or replace into seen values (?, ?)", (key, time.time()))
        return known is not None

    def _shrink(self, db: sqlite3.Connection) -> None:
        over = db.execute("select sum(size) from steps").fetchone()[0] - self._budget
        for old, size in db.execute("select key, size from steps order by used").fetchall():
            if over <= 0:
                return
            db.execute("delete from steps where key = ?", (old,))
            over -= size

    def forget(self, keys: Iterable[str]) -> None:
        """And what was only seen, whose order nobody knows."""
        with self._use() as db:
            db.executemany("delete from steps where key = ?", [(key,) for key in keys])
            db.execute("delete from seen")

    def all(self) -> list[Row]:
        if not os.path.exists(self._path):
            return []
        with self._use() as db:
            rows = db.execute(
                "select key, digest, diff_id, size, used, created, uses, what"
                " from steps order by used"
            )
            return [Row(*row) for row in rows]

    def digests(self) -> set[str]:
        """Blobs that must stay."""
        if not os.path.exists(self._path):
            return set()
        with self._use() as db:
            return {row[0] for row in db.execute("select digest from steps")}
