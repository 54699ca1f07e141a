"""What builds keep: layers that may be used again, and the directories of `RUN --mount=type=cache`.

A layer that an image has, too, is `shared`: forgetting its record frees nothing.
"""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

from sampan.build import cache
from sampan.engine import disk_usage
from sampan.engine.builds import caches
from sampan.kit import clock
from sampan.kit.record import Record as Base

if TYPE_CHECKING:
    from collections.abc import Collection

    from sampan.engine.engine import Engine


class Record(Base):
    id: str
    kind: str  # BuildKit's: regular, exec.cachemount
    description: str
    size: int
    used: str  # last, RFC 3339
    created: str
    uses: int = 0
    in_use: bool = False
    shared: bool = False
    blob: bool = False  # its bytes are in the content store

    @property
    def only_here(self) -> bool:
        return self.blob and not self.shared


def records(engine: Engine, image_blobs: Collection[str]) -> list[Record]:
    """All of them. Blocking: walks the cache directories."""
    return [*_layers(engine, image_blobs), *_mounts(caches.place(engine.paths.root))]


def _layers(engine: Engine, image_blobs: Collection[str]) -> list[Record]:
    found: dict[str, Record] = {}
    for row in cache.Records(engine.paths.root).all():
        if row.digest not in found and row.digest in engine.store:
            found[row.digest] = Record(
                id=row.key[:25],
                kind="regular",
                description=row.what or f"layer {row.diff_id}",
                size=row.size,
                used=_moment(row.used),
                created=_moment(row.created),
                uses=row.uses,
                shared=row.digest in image_blobs,
                blob=True,
            )
    return list(found.values())


def _mounts(directory: str) -> list[Record]:
    try:
        names = sorted(name for name in os.listdir(directory) if not name.endswith(".lock"))
    except FileNotFoundError:
        return []
    return [
        Record(
            id=name[:25],
            kind="exec.cachemount",
            description="cache mount of RUN",
            size=disk_usage.of_tree(f"{directory}/{name}").size,
            used=_moment(_stamp(f"{directory}/{name}.lock")),
            created=_moment(_stamp(f"{directory}/{name}")),
            in_use=_locked(f"{directory}/{name}.lock"),
        )
        for name in names
    ]


def _moment(seconds: float) -> str:
    return clock.rfc3339(int(seconds * 10**9))


def _stamp(path: str) -> float:
    return os.stat(path).st_mtime if os.path.exists(path) else 0


def _locked(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False
