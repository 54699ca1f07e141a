"""Which image was made from which: by a commit, or by a build of the classic form.

That only counts for images made here; what is pulled or loaded has no parent, as in Docker.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    best, most = "", (0, 0)
    layers, history = _layers(config), config.get("history") or []
    for row in db.rows("select id, config from images"):
        below = json.loads(row["config"])
        steps = below.get("history") or []
        count = (len(_layers(below)), len(steps))
        if (
            count > most
            and len(steps) < len(history)
            and _begins(layers, _layers(below))
            and _begins(history, steps)
        ):
            best, most = row["id"], count
    return best


def line(db: Database, image_id: str) -> Iterator[str]:
    """An image's id, its parent's, and so on as far as they are here."""
    while image_id:
        yield image_id
        image_id = of(db, image_id)


def _layers(config: dict[str, Any]) -> list[str]:
    found: list[str] = (config.get("rootfs") or {}).get("diff_ids") or []
    return found


def _begins(whole: list[Any], start: list[Any]) -> bool:
    return whole[: len(start)] == start
