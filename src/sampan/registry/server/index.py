"""What belongs to which repository: the `Index` over SQLite.

Blobs are stored once and linked to each repository that has them; a manifest is a blob with a media
type, a subject and tags. `linked` is when a link was last made or asked for: `collect` spares what
is younger than its grace, so a push between "is it there?" and its manifest loses nothing. Files go
inside the write transaction that removes their rows, and become visible inside the one that
links them; SQLite lets only one of these go on, in whatever process.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sampan.registry.server.storage import StorageDriver

_SCHEMA = """
create table if not exists links (
    repository text not null, digest text not null, linked real not null,
    primary key (repository, digest)
) without rowid;
create index if not exists links_by_digest on links(digest);
create table if not exists manifests (
    repository text not null, digest text not null, media_type text not null,
    size integer not null, subject text, artifact_type text, annotations text,
    stored real not null, primary key (repository, digest)
) without rowid;
create index if not exists referrers on manifests(repository, subject) where subject is not null;
create table if not exists needs (
    repository text not null, digest text not null, needed text not null,
    primary key (repository, digest, needed)
) without rowid;
create index if not exists needs_by_needed on needs(needed);
create table if not exists tags (
    repository text not null, tag text not null, digest text not null,
    primary key (repository, tag)
) without rowid;
create index if not exists tags_by_digest on tags(repository, digest);
create table if not exists uploads (
    id text primary key, repository text not null, started real not null
) without rowid;
"""
_FRESH = 600.0  # seconds after which asking for a blob renews its link


class Index:
    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30, cached_statements=256)
        for pragma in ("journal_mode=wal", "synchronous=normal"):
            self._db.execute(f"pragma {pragma}")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")

    # ---- repositories and blobs

    def repositories(self, count: int | None, last: str) -> list[str]:
        return self._column(
            "select distinct repository from links where repository > ? order by 1 limit ?",
            (last, -1 if count is None else count),
        )

    def exists(self, repository: str) -> bool:
        row = self._value("select 1 from links where repository = ? limit 1", (repository,))
        return row is not None

    def has(self, repository: str, digest: str) -> bool:
        """Whether the repository has the blob; asking keeps it from the collector for a while."""
        linked = self._value(
            "select linked from links where repository = ? and digest = ?", (repository, digest)
        )
        if linked is None:
            return False
        if time.time() - linked > _FRESH:
            self.link(repository, digest)
        return True

    def anywhere(self, digest: str) -> str | None:
        found: str | None = self._value(
            "select repository from links where digest = ? limit 1", (digest,)
        )
        return found

    def link(self, repository: str, digest: str) -> None:
        self._db.execute(
            "insert into links values (?, ?, ?) on conflict do update set linked = excluded.linked",
            (repository, digest, time.time()),
        )

    def unlink(self, repository: str, digest: str) -> bool:
        found = self._db.execute(
            "delete from links where repository = ? and digest = ?", (repository, digest)
        )
        return found.rowcount > 0

    # ---- manifests and tags

    def put_manifest(
        self,
        repository: str,
        digest: str,
        *,
        media_type: str,
        size: int,
        subject: str | None,
        artifact_type: str | None,
        annotations: str | None,
        needs: Iterable[str],
        tags: Iterable[str],
    ) -> None:
        """Inside `writing`."""
        self._db.execute(
            "insert or replace into manifests values (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                repository,
                digest,
                media_type,
                size,
                subject,
                artifact_type,
                annotations,
                time.time(),
            ),
        )
        self._db.executemany(
            "insert or ignore into needs values (?, ?, ?)",
            [(repository, digest, needed) for needed in needs],
        )
        self.link(repository, digest)
        self._db.executemany(
            "insert or replace into tags values (?, ?, ?)",
            [(repository, tag, digest) for tag in tags],
        )

    def manifest(self, repository: str, reference: str) -> tuple[str, str] | None:
        """(digest, media type) by digest or tag."""
        if ":" not in reference:
            found = self._value(
                "select digest from tags where repository = ? and tag = ?", (repository, reference)
            )
            if found is None:
                return None
            reference = found
        row = self._db.execute(
            "select digest, media_type from manifests where repository = ? and digest = ?",
            (repository, reference),
        ).fetchone()
        return (row[0], row[1]) if row else None

    def delete_manifest(self, repository: str, digest: str) -> bool:
        with self.writing():
            found = self._db.execute(
                "delete from manifests where repository = ? and digest = ?", (repository, digest)
            )
            for table in ("needs", "tags", "links"):
                self._db.execute(
                    f"delete from {table} where repository = ? and digest = ?", (repository, digest)
                )
        return found.rowcount > 0

    def delete_tag(self, repository: str, tag: str) -> bool:
        found = self._db.execute(
            "delete from tags where repository = ? and tag = ?", (repository, tag)
        )
        return found.rowcount > 0

    def tags(self, repository: str, count: int | None, last: str) -> list[str]:
        return self._column(
            "select tag from tags where repository = ? and tag > ? order by tag limit ?",
            (repository, last, -1 if count is None else count),
        )

    def referrers(self, repository: str, subject: str) -> list[sqlite3.Row]:
        """(digest, media_type, size, artifact_type, annotations) of each manifest with it."""
        return self._db.execute(
            "select digest, media_type, size, artifact_type, annotations from manifests"
            " where repository = ? and subject = ? order by stored, digest",
            (repository, subject),
        ).fetchall()

    # ---- uploads

    def start_upload(self, upload: str, repository: str) -> None:
        self._db.execute("insert into uploads values (?, ?, ?)", (upload, repository, time.time()))

    def upload_of(self, repository: str, upload: str) -> bool:
        found = self._value(
            "select 1 from uploads where id = ? and repository = ?", (upload, repository)
        )
        return found is not None

    def end_upload(self, upload: str) -> None:
        self._db.execute("delete from uploads where id = ?", (upload,))

    # ---- garbage

    def collect(
        self, storage: StorageDriver, *, grace: float, say: Callable[[str], object] = lambda _: None
    ) -> tuple[int, int]:
        """Remove blobs that no manifest needs, and abandoned uploads; (how many, bytes).

        `grace`: seconds that a blob or an upload may lie about before its manifest comes.
        """
        before = time.time() - grace
        for upload in self._column("select id from uploads where started < ?", (before,)):
            self.end_upload(upload)
            storage.drop(upload)
        self._db.execute(
            "delete from links where linked < ?1 and not exists (select 1 from needs where"
            " needs.repository = links.repository and needs.needed = links.digest) and not exists"
            " (select 1 from manifests where manifests.repository = links.repository"
            " and manifests.digest = links.digest)",
            (before,),
        )
        removed = freed = 0
        for digest in list(storage.digests()):
            with self.writing():
                if self.anywhere(digest) is None:
                    freed += storage.size(digest) or 0
                    storage.delete(digest)
                    removed += 1
                    say(digest)
        return removed, freed

    def _value(self, sql: str, values: tuple[Any, ...]) -> Any:
        row = self._db.execute(sql, values).fetchone()
        return row[0] if row else None

    def _column(self, sql: str, values: tuple[Any, ...]) -> list[str]:
        return [row[0] for row in self._db.execute(sql, values)]
