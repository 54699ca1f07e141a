"""The engine's one truth about names: an SQLite database in WAL mode.

    with db.transaction():          commits, or rolls everything back
        db.execute("insert …", (…))
    db.row("select …"), db.rows("select …"), db.value("select …")

The calls are synchronous and made on the event loop's thread: each takes under 0.1 ms, because
`synchronous=NORMAL` writes to the page cache and leaves fsync to checkpoints. A crash of the engine
loses nothing; a power cut may lose the last moments, never the consistency. What must survive a
power cut (an intent that guards files on disk) is written in `transaction(durable=True)`.

Every reference between tables is a foreign key, so that a row cannot name what is gone.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

VERSION = 5

SCHEMA = """
create table images (               -- what can be run: a config and its layers
    id text primary key,            -- image_id: digest of the config
    manifest text not null,         -- digest of the manifest in the content store
    chain_id text,                  -- null: no layers
    config text not null,           -- OCI image config, JSON
    created text not null,          -- when this engine first saw it
    size integer not null default 0, -- bytes of all layers, unpacked
    parent text not null default '', -- id of the image that it was made from here
    made text,                      -- when a build here first gave it; null: it came from elsewhere
    built text                      -- when a build here last gave it; null: none did
) strict;
create table names (                -- tags and repo digests
    name text primary key,          -- docker.io/library/busybox:latest or …@sha256:…
    image_id text not null references images(id) on delete cascade,
    target text not null,           -- digest of the manifest or index it was pulled as
    updated text not null
) strict;
create index names_by_image on names(image_id);
create table containers (
    id text primary key,
    name text not null unique,
    created text not null,
    image_id text not null,
    image_ref text not null,        -- as the user wrote it
    config text not null,           -- Docker's Config, JSON
    host_config text not null,      -- Docker's HostConfig, JSON
    networking text not null,       -- EndpointsConfig by network name, JSON
    mounts text not null,           -- resolved mount points, JSON
    status text not null,           -- created running paused restarting exited dead removing
    pid integer not null default 0,
    exit_code integer not null default 0,
    started_at text not null,
    finished_at text not null,
    error text not null default '',
    oom_killed integer not null default 0,
    restart_count integer not null default 0,
    stopped_by_user integer not null default 0,
    boot_id text not null default ''
) strict;
create table networks (
    id text primary key,
    name text not null unique,
    driver text not null,
    created text not null,
    spec text not null              -- ipam, options, labels, internal, …: JSON
) strict;
create table endpoints (            -- a container's place in a network; the address while it runs
    id text primary key,
    container_id text not null references containers(id) on delete cascade,
    network_id text not null references networks(id) on delete restrict,
    address text,                   -- IPv4, without the prefix
    address6 text,
    mac text,
    interface text not null default 'eth0',
    settings text not null,         -- aliases, requested addresses, driver options: JSON
    unique (container_id, network_id)
) strict;
create unique index endpoint_addresses on endpoints(network_id, address) where address is not null;
create unique index endpoint_addresses6 on endpoints(network_id, address6)
  where address6 is not null;
create table volumes (
    name text primary key,
    driver text not null,
    created text not null,
    labels text not null,
    options text not null,
    anonymous integer not null default 0
) strict;
create table mounts (               -- which container uses which volume
    container_id text not null references containers(id) on delete cascade,
    volume text not null references volumes(name) on delete restrict,
    destination text not null,
    primary key (container_id, destination)
) strict;
create index mounts_by_volume on mounts(volume);
create table ports (                -- published by a running container
    container_id text not null references containers(id) on delete cascade,
    protocol text not null,
    container_port integer not null,
    host_ip text not null,
    host_port integer not null,
    primary key (container_id, protocol, container_port, host_ip, host_port)
) strict;
create table shared (               -- what the network store said last, and "self": our id there
    key text primary key,
    value text not null
) strict;
create table leases (               -- what the garbage collector must leave alone for a while
    id text not null,
    resource text not null,
    expires text not null,
    primary key (id, resource)
) strict;
"""


MIGRATIONS = {  # from this version to the next
    1: """
alter table endpoints add column address6 text;
alter table endpoints add column interface text not null default 'eth0';
create unique index endpoint_addresses6 on endpoints(network_id, address6)
  where address6 is not null;
""",
    2: "alter table images add column parent text not null default '';",
    3: "create table shared (key text primary key, value text not null) strict;",
    4: "alter table images add column made text; alter table images add column built text;",
}


class TooNew(errors.Conflict):
    def __init__(self, path: str, version: int) -> None:
        super().__init__(
            f"{path} was written by a newer sampan (schema {version}, this one knows {VERSION})"
        )


class Database:
    def __init__(self, path: str) -> None:
        """Open or create the database at `path` (`:memory:` for tests)."""
        if path != ":memory:":
            os.makedirs(os.path.dirname(path), mode=0o711, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self._connection.row_factory = sqlite3.Row
        self._depth = 0
        for pragma in ("journal_mode=wal", "synchronous=normal", "foreign_keys=on"):
            self._connection.execute(f"pragma {pragma}")
        self._migrate(path)

    def _migrate(self, path: str) -> None:
        version = self.value("pragma user_version")
        if version > VERSION:
            self.close()
            raise TooNew(path, version)
        steps = [MIGRATIONS[step] for step in range(version, VERSION)] if version else [SCHEMA]
        if version < VERSION:
            self._connection.executescript(
                f"begin; {'; '.join(steps)}; pragma user_version={VERSION}; commit;"
            )

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[None]:
        """Everything inside is committed together; nested ones join the outermost.

        `durable` waits for the disk, for what must survive a power cut.
        """
        if self._depth:
            yield
            return
        if durable:
            self.execute("pragma synchronous=full")
        self.execute("begin immediate")
        self._depth = 1
        try:
            yield
        except BaseException:
            self.execute("rollback")
            raise
        else:
            self.execute("commit")
        finally:
            self._depth = 0
            if durable:
                self.execute("pragma synchronous=normal")

    def execute(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> int:
        """Run one statement; how many rows it changed."""
        return self._connection.execute(sql, values).rowcount

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._connection.executemany(sql, rows)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Row | None:
        found: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return found

    def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None."""
        found = self.row(sql, values)
        return found[0] if found else None

    def integrity(self) -> list[str]:
        """What SQLite finds wrong with the file; empty when all is well."""
        found = [row[0] for row in self.rows("pragma integrity_check(20)")]
        return [] if found == ["ok"] else found
