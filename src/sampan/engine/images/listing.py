"""`images`: what there is, under which names, how large, used by whom."""

from __future__ import annotations

import fnmatch
import json
from typing import TYPE_CHECKING

from sampan.engine.images import parents, variants
from sampan.engine.units import moment
from sampan.kit import clock
from sampan.kit.record import Record
from sampan.spec import reference

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from sampan.engine.engine import Engine
    from sampan.engine.filters import Filters


class Summary(Record):
    id: str
    created: str  # when a build here first gave it, else what its config says
    renewed: str  # when a build here last gave it, else the same: what `until` goes by
    size: int
    shared: int  # bytes of layers that other images use, too; -1: not counted
    containers: int
    labels: dict[str, str]
    tags: tuple[str, ...]
    digests: tuple[str, ...]
    parent: str = ""  # its id while it is here


def list_(
    engine: Engine, filters: Filters, *, shared: bool = False, between: bool = True
) -> list[Summary]:
    """Newest first; what the filters leave. `between`: also what has no name and is only there
    because another image was made from it."""
    rows = engine.db.rows("select * from images")
    found = [summary(engine, row, shared=shared) for row in rows]
    if patterns := filters.get("reference") if "reference" in filters else ():
        found = [_named(image, patterns) for image in found]
        found = [image for image in found if image.tags or image.digests]
    found = [image for image in found if _wanted(engine, image, filters)]
    if not between:
        found = [i for i in found if i.tags or i.digests or not parents.children(engine.db, i.id)]
    return sorted(found, key=lambda image: clock.parse(image.created), reverse=True)


def summary(engine: Engine, row: sqlite3.Row, *, shared: bool = False) -> Summary:
    db = engine.db
    names = [r[0] for r in db.rows("select name from names where image_id = ?", (row["id"],))]
    config = json.loads(row["config"])
    inner = config.get("config") or {}
    created = row["made"] or config.get("created") or row["created"]
    used = db.value("select count(*) from containers where image_id = ?", (row["id"],))
    return Summary(
        id=row["id"],
        created=created,
        renewed=row["built"] or created,
        size=row["size"],
        shared=_shared(engine, row) if shared else -1,
        containers=used,
        labels=inner.get("Labels") or {},
        tags=tuple(sorted(reference.familiar(name) for name in names if "@" not in name)),
        digests=tuple(sorted(reference.familiar(name) for name in names if "@" in name)),
        parent=parents.of(db, row["id"]),
    )


def _shared(engine: Engine, row: sqlite3.Row) -> int:
    """Bytes of the layers that some other image has, too."""
    mine = _layers(row)
    others: set[str] = set()
    for other in engine.db.rows("select config from images where id != ?", (row["id"],)):
        others.update(_layers(other))
    sizes = engine.images.layer_sizes()
    return sum(sizes.get(layer, 0) for layer in mine if layer in others)


def _layers(row: sqlite3.Row) -> list[str]:
    layers: list[str] = json.loads(row["config"]).get("rootfs", {}).get("diff_ids") or []
    return layers


def _wanted(engine: Engine, image: Summary, filters: Filters) -> bool:
    if "dangling" in filters and filters.flag("dangling") == bool(image.tags):
        return False
    if not filters.labels(image.labels):
        return False
    made = clock.parse(image.created)
    return (
        all(made < _created(engine, name) for name in filters.get("before"))
        and all(made > _created(engine, name) for name in filters.get("since"))
        and before(image, [moment(text) for text in filters.get("until")])
    )


def before(image: Summary, until: Collection[int]) -> bool:
    """Whether it is older than all of these moments, in nanoseconds since 1970."""
    renewed = clock.parse(image.renewed)
    return all(renewed < when for when in until)


def _named(image: Summary, patterns: Collection[str]) -> Summary:
    """The image with those of its names alone that fit one of the patterns."""

    def fitting(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if any(_matches(name, p) for p in patterns))

    return image.replace(tags=fitting(image.tags), digests=fitting(image.digests))


def _matches(name: str, pattern: str) -> bool:
    """Docker's `reference=`: a path pattern over the familiar name, with or without its tag."""
    bare = name.partition("@")[0]
    bare = bare.rpartition(":")[0] if ":" in bare.rpartition("/")[2] else bare
    return _fits(name, pattern) or _fits(bare, pattern)


def _fits(name: str, pattern: str) -> bool:
    """Part by part: a star ends at a slash, as in Go's path.Match."""
    parts, wanted = name.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def _created(engine: Engine, name: str) -> int:
    return clock.parse(engine.images.summary(engine.images.get(name).id).created)


def history(engine: Engine, name: str, platform: str = "") -> list[dict[str, object]]:
    """Docker's history, newest step first; sizes are those of the unpacked layers."""
    image = engine.images.get(name)
    image_id, config = image.id, image.config
    if platform:
        image_id, config = variants.config(engine, variants.manifest(engine, name, platform))
    layers = list(config.get("rootfs", {}).get("diff_ids") or [])
    sizes = engine.images.layer_sizes()
    steps = list(config.get("history") or [])
    if not steps:
        steps = [{"created": config.get("created"), "comment": ""} for _ in layers]
    told: list[dict[str, object]] = []
    for step in steps:
        layer = None if step.get("empty_layer") or not layers else layers.pop(0)
        created = step.get("created")
        told.append(
            {
                "Id": "<missing>",
                "Created": clock.parse(created) // 10**9 if created else 0,
                "CreatedBy": step.get("created_by", ""),
                "Tags": None,
                "Size": sizes.get(layer, 0) if layer else 0,
                "Comment": step.get("comment", ""),
            }
        )
    if told:
        told[-1]["Id"] = image_id
        told[-1]["Tags"] = list(engine.images.summary(image.id).tags) or None
    return told[::-1]
