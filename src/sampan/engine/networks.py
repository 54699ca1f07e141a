"""Networks by name. What a container does with one is in `engine/endpoints.py`."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any

from sampan.engine.errors import AmbiguousId, NoSuchNetwork
from sampan.kit import clock
from sampan.kit.record import Record

if TYPE_CHECKING:
    import sqlite3

    from sampan.engine.engine import Engine

PREDEFINED = ("bridge", "host", "none")


class NetworkInfo(Record):
    id: str
    name: str
    driver: str  # bridge, host, null
    created: str
    spec: dict[str, Any]  # ipam: {config: [{subnet, gateway, …}]}, options, labels, internal, …


class Networks:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def start(self) -> None:
        """The predefined networks exist from the first start on."""
        for name, driver in (("bridge", "bridge"), ("host", "host"), ("none", "null")):
            if self._engine.db.value("select 1 from networks where name = ?", (name,)) is None:
                self._engine.db.execute(
                    "insert into networks (id, name, driver, created, spec) values (?, ?, ?, ?, ?)",
                    (secrets.token_hex(32), name, driver, clock.now(), json.dumps({})),
                )

    def get(self, name: str) -> NetworkInfo:
        """By name, by id, or by the start of an id."""
        db = self._engine.db
        row = db.row("select * from networks where name = ?1 or id = ?1", (name,))
        if row is None and name and not set(name) - set("0123456789abcdef"):
            rows = db.rows("select * from networks where id glob ? limit 2", (name + "*",))
            if len(rows) > 1:
                raise AmbiguousId(name)
            row = rows[0] if rows else None
        if row is None:
            raise NoSuchNetwork(name)
        return _network(row)


def _network(row: sqlite3.Row) -> NetworkInfo:
    return NetworkInfo(
        id=row["id"],
        name=row["name"],
        driver=row["driver"],
        created=row["created"],
        spec=json.loads(row["spec"]),
    )
