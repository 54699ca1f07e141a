"""Names of images in the database: tags and repo digests, and the ids that stand for themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.engine.errors import AmbiguousId
from sampan.kit import clock, errors
from sampan.spec import reference

if TYPE_CHECKING:
    import sqlite3

    from sampan.engine.db import Database

_ID = re.compile(r"(?:sha256:)?[0-9a-f]{4,64}")


def row_of(db: Database, name: str) -> sqlite3.Row | None:
    """An image's row by name first, by id or its start second."""
    return _by_name(db, name) or _by_id(db, name)


def is_id(db: Database, name: str) -> bool:
    return _by_name(db, name) is None and _by_id(db, name) is not None


def _by_name(db: Database, name: str) -> sqlite3.Row | None:
    try:
        full = reference.full(name)
    except reference.InvalidReference:
        if _ID.fullmatch(name):
            return None
        raise
    return db.row(
        "select i.* from images i join names n on n.image_id = i.id where n.name = ?", (full,)
    )


def _by_id(db: Database, name: str) -> sqlite3.Row | None:
    if not _ID.fullmatch(name):
        return None
    prefix = name if name.startswith("sha256:") else f"sha256:{name}"
    rows = db.rows("select * from images where id glob ? limit 2", (prefix + "*",))
    if len(rows) > 1:
        raise AmbiguousId(name)
    return rows[0] if rows else None


def shown(name: str) -> str:
    """`busybox` → `busybox:latest`, as Docker names it in errors."""
    return f"{name}:latest" if reference.is_bare(name) else name


def put(db: Database, full: str, image_id: str, target: str) -> str | None:
    """Give a name to an image; the id of the image that had it, if another one."""
    if reference.familiar(full).startswith("sha256:"):
        raise errors.InvalidArgument(
            "refusing to create an ambiguous tag using digest algorithm as name"
        )
    previous: str | None = db.value("select image_id from names where name = ?", (full,))
    db.execute(
        "insert into names (name, image_id, target, updated) values (?, ?, ?, ?)"
        " on conflict (name) do update set image_id = excluded.image_id,"
        " target = excluded.target, updated = excluded.updated",
        (full, image_id, target, clock.now()),
    )
    return previous if previous != image_id else None


def tags(db: Database, repository: str) -> list[str]:
    """The full names with a tag of a repository, in order."""
    start = f"{repository}:"
    rows = db.rows(
        "select name from names where substr(name, 1, ?) = ? order by name", (len(start), start)
    )
    return [row["name"] for row in rows]
