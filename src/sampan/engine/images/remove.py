"""`rmi` and `image prune`: names go first, then what no name and no container needs."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from sampan.engine.images import happened, listing, mounts, parents
from sampan.engine.units import moment
from sampan.kit import errors
from sampan.spec import reference

if TYPE_CHECKING:
    from sampan.engine.engine import Engine
    from sampan.engine.filters import Filters
    from sampan.engine.images import Image


class ImageInUse(errors.Conflict):
    """Docker's sentence; `how` is what would help."""

    def __init__(self, name: str, how: str, why: str) -> None:
        super().__init__(f"conflict: unable to {name} ({how}) - {why}")


async def remove(
    engine: Engine, name: str, *, force: bool = False, prune: bool = True
) -> list[dict[str, str]]:
    """Docker's answer: `Untagged` for each name, `Deleted` for the image and its layers."""
    image = engine.images.get(name)
    names = [r[0] for r in _names(engine, image.id)]
    full = None if engine.images.is_id(name) else reference.full(name)
    if full in names and set(names) - set(going := _with(names, full)):
        return _untag(engine, image, going)
    short = image.id.removeprefix("sha256:")[:12]
    if full is None and not _single(names) and not force:
        raise ImageInUse(
            f"delete {short}", "must be forced", "image is referenced in multiple repositories"
        )
    _check_containers(engine, image, name if full else short, tagged=bool(full), force=force)
    if place := mounts.where(engine, image.id):
        raise ImageInUse(f"delete {short}", "must be unmounted", f"image is mounted at {place}")
    children = parents.children(engine.db, image.id)
    if children and full is None:
        raise ImageInUse(f"delete {short}", "cannot be forced", "image has dependent child images")
    removed = _untag(engine, image, names)
    if children or _used(engine, image.id):
        return removed  # they keep the image alive, without a name (used: it was forced)
    return removed + await _delete(engine, [image, *(_ancestors(engine, image) if prune else [])])


def _used(engine: Engine, image_id: str) -> bool:
    return bool(engine.db.value("select 1 from containers where image_id = ?", (image_id,)))


def _ancestors(engine: Engine, image: Image) -> list[Image]:
    """What an image was made from, as far as that has no name and no other use."""
    found: list[Image] = []
    below = image
    while parent := parents.of(engine.db, below.id):
        if (
            _names(engine, parent)
            or _used(engine, parent)
            or mounts.where(engine, parent)
            or parents.children(engine.db, parent) != [below.id]
        ):
            break
        below = engine.images.get(parent)
        found.append(below)
    return found


def untag(engine: Engine, name: str) -> list[dict[str, str]]:
    """Take one name away; the image stays, be it without any."""
    image = engine.images.get(name)
    if engine.images.is_id(name):
        raise errors.InvalidArgument(f"{name} is an id; give the name that is to go")
    full = reference.full(name)
    names = [n for (n,) in _names(engine, image.id)]
    return _untag(engine, image, _with(names, full))


def _names(engine: Engine, image_id: str) -> list[tuple[str]]:
    rows = engine.db.rows("select name from names where image_id = ? order by name", (image_id,))
    return [(row[0],) for row in rows]


def _single(names: list[str]) -> bool:
    """At most one tag, and repo digests of no other repository."""
    tags = [n for n in names if "@" not in n]
    return len(tags) < 2 and len({reference.repository(n) for n in names}) < 2


def _with(names: list[str], full: str) -> list[str]:
    """A name, and the repo digests that go with the last tag of a repository."""
    repository = reference.repository(full)
    tags = [n for n in names if "@" not in n and reference.repository(n) == repository]
    if "@" in full or len(tags) > 1:
        return [full]
    return [full, *(n for n in names if "@" in n and n.partition("@")[0] == repository)]


def _check_containers(
    engine: Engine, image: Image, name: str, *, tagged: bool, force: bool
) -> None:
    verb = "remove repository reference" if tagged else "delete"
    shown = f'"{name}"' if tagged else name
    for row in engine.db.rows("select id, status from containers where image_id = ?", (image.id,)):
        container, running = row["id"][:12], row["status"] in ("running", "paused", "restarting")
        image_id = image.id.removeprefix("sha256:")[:12]
        if running and not tagged:
            raise ImageInUse(
                f"{verb} {shown}",
                "cannot be forced",
                f"image is being used by running container {container}",
            )
        if not force:
            raise ImageInUse(
                f"{verb} {shown}",
                "must force",
                f"container {container} is using its referenced image {image_id}",
            )


def _untag(engine: Engine, image: Image, names: list[str]) -> list[dict[str, str]]:
    with engine.db.transaction():
        for name in names:
            engine.db.execute("delete from names where name = ?", (name,))
    for name in names:
        happened.publish(engine, "untag", image.id, reference.familiar(name))
    return [{"Untagged": reference.familiar(name)} for name in names]


async def _delete(engine: Engine, images: list[Image]) -> list[dict[str, str]]:
    removed, _ = await _delete_counting(engine, images)
    return removed


async def _delete_counting(engine: Engine, images: list[Image]) -> tuple[list[dict[str, str]], int]:
    """Rows first, then (nothing names them any more) the bytes; how many that were."""
    before = engine.images.layer_sizes()
    with engine.db.transaction():
        for image in images:
            engine.db.execute("delete from images where id = ?", (image.id,))
    for image in images:
        happened.publish(engine, "delete", image.id, image.id)
    freed = await engine.images.collect_garbage()
    gone = set(before) - set(engine.images.layer_sizes())
    removed = []
    for image in images:
        removed.append({"Deleted": image.id})
        layers = image.config.get("rootfs", {}).get("diff_ids") or []
        removed += [{"Deleted": layer} for layer in reversed(layers) if layer in gone]
    return removed, freed


async def prune(engine: Engine, filters: Filters) -> tuple[list[dict[str, str]], int]:
    """Unused images: only unnamed ones unless `dangling=false`. What went, and bytes freed."""
    only_dangling = filters.flag("dangling", True)
    until = [moment(text) for text in filters.get("until")]
    removed: list[dict[str, str]] = []
    doomed: dict[str, Image] = {}
    for image in engine.images.list(filters_without_dangling(filters)):
        if image.containers or (only_dangling and image.tags):
            continue
        if not listing.before(image, until):
            continue
        if mounts.where(engine, image.id) or parents.children(engine.db, image.id):
            continue
        found = engine.images.get(image.id)
        above = takewhile(
            lambda one: listing.before(engine.images.summary(one.id), until),
            _ancestors(engine, found),
        )
        doomed |= {one.id: one for one in (found, *above)}
        removed += _untag(engine, found, [n for (n,) in _names(engine, found.id)])
    if not doomed:
        return [], 0
    gone, freed = await _delete_counting(engine, list(doomed.values()))
    engine.events.publish("image", "prune", "", {"reclaimed": str(freed)})
    return removed + gone, freed


def filters_without_dangling(filters: Filters) -> Filters:
    from sampan.engine.filters import Filters as Kind

    return Kind({name: filters.get(name) for name in ("label", "label!")})
