"""Which image was made from which: by a commit, or by a build of the classic form.

That only counts for images made here; what is pulled or loaded has no parent, as in Docker.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sampan.engine.db import Database


def of(db: Database, image_id: str) -> str:
    """The id of an image's parent while that is here, else ""."""
    found: str | None = db.value(
        "select p.id from images i join images p on p.id = i.parent where i.id = ?", (image_id,)
    )
    return found or ""


def children(db: Database, image_id: str) -> list[str]:
    return [row[0] for row in db.rows("select id from images where parent = ?", (image_id,))]


def base(db: Database, config: dict[str, Any]) -> str:
    """The image here that a new config goes on from: its layers and history are the beginning."""
    best, most = "", 0
    for row in db.rows("select id, config from images"):
        below = json.loads(row["config"])
        count = len(_layers(below))
        if (
            count > most
            and _begins(_layers(config), _layers(below))
            and _begins(config.get("history") or [], below.get("history") or [])
        ):
            best, most = row["id"], count
    return best


def _layers(config: dict[str, Any]) -> list[str]:
    found: list[str] = (config.get("rootfs") or {}).get("diff_ids") or []
    return found


def _begins(whole: list[Any], start: list[Any]) -> bool:
    return whole[: len(start)] == start
