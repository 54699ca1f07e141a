"""`system check`: what on the disk contradicts the database, or itself.

    problems = await find(engine)
    await problem.fix()            where there is something that can be done without a loss

Nothing here decides about a user's data: a volume's directory without a row gets its row back, a
damaged blob is set aside (`root/damaged`), so that the next pull brings it anew; a container
without its layer is only named. What a crash can leave is taken away at the engine's start anyway
(`containers.reconcile`, the garbage collector); this finds what a disk or a hand has done.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from sampan.engine import cgroups
from sampan.engine.containers import reconcile, remove
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.kit.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sampan.engine.engine import Engine
    from sampan.linux import cgroup


class Problem(Record):
    what: str
    way: str  # what a repair does, or what the user can do
    fix: Callable[[], Awaitable[object]] | None = None


async def find(engine: Engine) -> list[Problem]:
    """Every blob is read, which takes a second for a gigabyte or two."""
    return [
        *_database(engine),
        *await in_thread(_blobs, engine),
        *_containers(engine),
        *_volumes(engine),
        *_left_behind(engine),
        *_cgroups(engine),
    ]


def _database(engine: Engine) -> Iterator[Problem]:
    way = f"stop the engine, and bring {engine.paths.database} back from a copy"
    for (said,) in engine.db.rows("pragma integrity_check"):
        if said != "ok":
            yield Problem(what=f"the database is damaged: {said}", way=way)
    for row in engine.db.rows("pragma foreign_key_check"):
        yield Problem(what=f"the database names what is not in it: {tuple(row)}", way=way)


def _blobs(engine: Engine) -> list[Problem]:
    found = []
    for digest in engine.store.walk():
        path = engine.store.path(digest)
        try:
            with open(path, "rb") as file:
                actual = hashlib.file_digest(file, digest.partition(":")[0]).hexdigest()
        except FileNotFoundError:
            continue  # removed meanwhile
        except OSError as error:
            actual = f"nothing that can be read ({(error.strerror or '').lower()})"
        if actual != digest.partition(":")[2]:
            found.append(
                Problem(
                    what=f"blob {digest} is damaged: it holds {actual}",
                    way=f"set it aside in {engine.paths.root}/damaged; pull its image again",
                    fix=_setter_aside(engine, path),
                )
            )
    return found


def _setter_aside(engine: Engine, path: str) -> Callable[[], Awaitable[object]]:
    def work() -> None:
        place = f"{engine.paths.root}/damaged"
        os.makedirs(place, mode=0o700, exist_ok=True)
        os.rename(path, f"{place}/{os.path.basename(path)}")

    return lambda: in_thread(work)


def _containers(engine: Engine) -> Iterator[Problem]:
    layers = set(engine.snapshots.keys())
    for container in engine.containers:
        if container.id not in layers:
            yield Problem(
                what=f"container {container.name} has lost its writable layer",
                way=f"it cannot start again: sampan rm -f {container.name}",
            )
        if not os.path.isdir(container.bundle):
            yield Problem(
                what=f"container {container.name} has lost its directory {container.bundle}",
                way="make an empty one; its log is lost",
                fix=_caller(os.makedirs, container.bundle, 0o710),
            )


def _volumes(engine: Engine) -> Iterator[Problem]:
    top = f"{engine.paths.root}/volumes"
    rows = {row["name"] for row in engine.db.rows("select name from volumes")}
    there = set(os.listdir(top)) if os.path.isdir(top) else set()
    for name in sorted(rows - there):
        volume = engine.volumes.get(name)
        yield Problem(
            what=f"volume {name} has lost its directory {volume.mountpoint}",
            way="make an empty one; its files are lost",
            fix=_caller(os.makedirs, volume.mountpoint, 0o755),
        )
    for name in sorted(there - rows):
        if os.path.isdir(f"{top}/{name}/_data"):
            yield Problem(
                what=f"{top}/{name} is no volume that the database knows",
                way=f"make it the volume {name} again, with its files",
                fix=_caller(engine.volumes.ensure, name),
            )


def _left_behind(engine: Engine) -> Iterator[Problem]:
    for container_id in reconcile.orphans(engine):
        yield Problem(
            what=f"there are files of a container that is gone, {container_id[:12]}",
            way="remove them",
            fix=_caller(remove.delete_files, engine, container_id),
        )


def _cgroups(engine: Engine) -> Iterator[Problem]:
    for name, manager in cgroups.leftovers(engine):
        count = len(manager.pids())
        holds = f"with {count} processes" if count else "empty"
        yield Problem(
            what=f"there is a cgroup of no running container, {name[:12]}, {holds}",
            way="end what runs in it, and remove it",
            fix=_caller(_end, manager),
        )


def _end(manager: cgroup.Manager) -> None:
    manager.kill()
    manager.delete()


def _caller(function: Callable[..., object], *words: object) -> Callable[[], Awaitable[object]]:
    async def call() -> object:
        return function(*words)

    return call


async def run(engine: Engine, *, repair: bool) -> list[dict[str, object]]:
    """For the API: each problem with what was done, or could be."""
    found: list[dict[str, object]] = []
    for problem in await find(engine):
        repaired, failure = False, ""
        if repair and problem.fix is not None:
            try:
                await problem.fix()
                repaired = True
            except (errors.SampanError, OSError) as error:
                failure = str(error)
        found.append(
            {
                "Problem": problem.what,
                "Way": problem.way,
                "Repairable": problem.fix is not None,
                "Repaired": repaired,
                "Failure": failure,
            }
        )
    return found
