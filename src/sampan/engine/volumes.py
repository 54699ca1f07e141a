"""Named and anonymous volumes: directories under `root/volumes/NAME/_data`."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from typing import TYPE_CHECKING

from sampan.engine.errors import NoSuchVolume
from sampan.kit import clock, errors
from sampan.kit.record import Record

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from sampan.engine.engine import Engine
    from sampan.engine.filters import Filters

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


class Volume(Record):
    name: str
    driver: str
    created: str
    labels: dict[str, str]
    options: dict[str, str]
    anonymous: bool
    mountpoint: str


class InUse(errors.Conflict):
    def __init__(self, name: str, users: Sequence[str]) -> None:
        super().__init__(f"remove {name}: volume is in use - [{', '.join(users)}]")


class Volumes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def mountpoint(self, name: str) -> str:
        return f"{self._engine.paths.root}/volumes/{name}/_data"

    def get(self, name: str) -> Volume:
        row = self._engine.db.row("select * from volumes where name = ?", (name,))
        if row is None:
            raise NoSuchVolume(name)
        return self._volume(row)

    def ensure(
        self,
        name: str = "",
        *,
        driver: str = "local",
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ) -> Volume:
        """The volume of that name, made if need be; without a name, a new anonymous one."""
        anonymous = not name
        name = name or secrets.token_hex(32)
        row = self._engine.db.row("select * from volumes where name = ?", (name,))
        if row is not None:
            return self._volume(row)
        if not NAME.fullmatch(name):
            raise errors.InvalidArgument(
                f'"{name}" includes invalid characters for a local volume name, only '
                '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host '
                "directory, use absolute path"
            )
        if driver not in ("", "local"):
            raise errors.NotFound(
                f'error looking up volume plugin {driver}: plugin "{driver}" not found'
            )
        os.makedirs(self.mountpoint(name), mode=0o755, exist_ok=True)
        self._engine.db.execute(
            "insert into volumes (name, driver, created, labels, options, anonymous)"
            " values (?, 'local', ?, ?, ?, ?)",
            (
                name,
                clock.now(),
                json.dumps(dict(labels or {})),
                json.dumps(dict(options or {})),
                anonymous,
            ),
        )
        self._engine.events.publish("volume", "create", name, {"driver": "local"})
        return self.get(name)

    def list(self, filters: Filters) -> Sequence[Volume]:
        """By name; Docker's filters name, label, driver, dangling."""
        filters.accept("name", "label", "label!", "driver", "dangling")
        rows = self._engine.db.rows("select * from volumes order by name")
        return [
            volume
            for volume in map(self._volume, rows)
            if filters.match("name", volume.name)
            and filters.exact("driver", volume.driver)
            and filters.labels(volume.labels)
            and (
                "dangling" not in filters
                or filters.flag("dangling") != bool(self.users(volume.name))
            )
        ]

    def unused(self) -> Sequence[Volume]:
        """Those that no container names."""
        rows = self._engine.db.rows(
            "select * from volumes where name not in (select volume from mounts) order by name"
        )
        return [self._volume(row) for row in rows]

    def users(self, name: str) -> Sequence[str]:
        rows = self._engine.db.rows("select container_id from mounts where volume = ?", (name,))
        return [row[0] for row in rows]

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove it and its data. `force`: one that does not exist is no error."""
        try:
            volume = self.get(name)
        except NoSuchVolume:
            if force:
                return
            raise
        if users := self.users(name):
            raise InUse(name, users)
        self._engine.db.execute("delete from volumes where name = ?", (name,))
        shutil.rmtree(os.path.dirname(volume.mountpoint), ignore_errors=True)
        self._engine.events.publish("volume", "destroy", name, {"driver": "local"})

    def _volume(self, row: sqlite3.Row) -> Volume:
        return Volume(
            name=row["name"],
            driver=row["driver"],
            created=row["created"],
            labels=json.loads(row["labels"]),
            options=json.loads(row["options"]),
            anonymous=bool(row["anonymous"]),
            mountpoint=self.mountpoint(row["name"]),
        )
