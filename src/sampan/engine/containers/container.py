"""One container as the engine knows it: what was asked for, and its state.

What was asked for (`config`, `host_config`, `networking`: Docker's JSON objects) changes only by
`update`, `rename` and network connections; the state by what the monitor reports. Both are written
through to the database by `save`, so this object can be made again from its row at any time.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from sampan.engine import cgroups
from sampan.engine.errors import IsPaused, NotRunning
from sampan.kit import clock

if TYPE_CHECKING:
    import sqlite3

    from sampan.engine.containers.exec import Exec
    from sampan.engine.engine import Engine
    from sampan.engine.health import Health
    from sampan.engine.monitors import Client, Connection

STATE_COLUMNS = (
    "status", "pid", "exit_code", "started_at", "finished_at", "error", "oom_killed",
    "restart_count", "stopped_by_user", "boot_id",
)  # fmt: skip
_SAVE_STATE = f"update containers set {', '.join(f'{c} = ?' for c in STATE_COLUMNS)} where id = ?"
_INSERT = """insert into containers (id, name, created, image_id, image_ref, config, host_config,
    networking, mounts, status, started_at, finished_at) values (?,?,?,?,?,?,?,?,?,?,?,?)"""


class Container:
    def __init__(self, engine: Engine, row: sqlite3.Row | dict[str, Any]) -> None:
        self.engine = engine
        self.id: str = row["id"]
        self.name: str = row["name"]
        self.created: str = row["created"]
        self.image_id: str = row["image_id"]
        self.image_ref: str = row["image_ref"]
        self.config: dict[str, Any] = json.loads(row["config"])
        self.host_config: dict[str, Any] = json.loads(row["host_config"])
        self.networking: dict[str, Any] = json.loads(row["networking"])
        self.mounts: list[dict[str, Any]] = json.loads(row["mounts"])
        self.status: str = row["status"]
        self.pid: int = row["pid"]
        self.exit_code: int = row["exit_code"]
        self.started_at: str = row["started_at"]
        self.finished_at: str = row["finished_at"]
        self.error: str = row["error"]
        self.oom_killed = bool(row["oom_killed"])
        self.restart_count: int = row["restart_count"]
        self.stopped_by_user = bool(row["stopped_by_user"])
        self.boot_id: str = row["boot_id"]

        self.lock = asyncio.Lock()  # one verb at a time
        self.monitor: Connection | None = None  # the subscription, while it runs
        self.starting: Connection | None = None  # to a monitor that waits for "go"
        self.waiting: list[Client] = []  # attached before the start
        self.execs: dict[str, Exec] = {}
        self.health: Health | None = None
        self.stills = 0  # how many need it paused (`pause.stilled`)
        self.exits = 0  # how many times it has ended; `wait` watches it
        self.removed = False
        self.cgroup_driver = engine.cgroup_driver  # that it was, or will be, started with
        self.changed = asyncio.Condition()
        self.restarting: asyncio.Task[None] | None = None
        self.backoff = 0.1  # seconds until the next automatic restart
        self.variables: tuple[str, ...] = ()  # of the environment, but in no row: a build's secrets

    # ---- what is asked of it often

    @property
    def running(self) -> bool:
        return self.status in ("running", "paused")

    @property
    def tty(self) -> bool:
        return bool(self.config.get("Tty"))

    @property
    def bundle(self) -> str:
        return self.engine.paths.bundle(self.id)

    @property
    def log_path(self) -> str:
        return f"{self.bundle}/{self.id}-json.log"

    @property
    def cgroup(self) -> str:
        return cgroups.place(self, self.cgroup_driver)

    @property
    def auto_remove(self) -> bool:
        return bool(self.host_config.get("AutoRemove"))

    @property
    def labels(self) -> dict[str, str]:
        return self.config.get("Labels") or {}

    def network_mode(self) -> str:
        mode = self.host_config.get("NetworkMode") or "default"
        return "bridge" if mode == "default" else str(mode)

    def require_running(self) -> None:
        if not self.running:
            raise NotRunning(self.id)

    def require_unpaused(self, verb: str) -> None:
        self.require_running()
        if self.status == "paused":
            raise IsPaused(self.name, verb)

    # ---- the database

    def insert(self) -> None:
        self.engine.db.execute(
            _INSERT,
            (
                self.id, self.name, self.created, self.image_id, self.image_ref,
                json.dumps(self.config), json.dumps(self.host_config),
                json.dumps(self.networking), json.dumps(self.mounts),
                self.status, self.started_at, self.finished_at,
            ),
        )  # fmt: skip

    def save(self) -> None:
        """Write the state's columns."""
        values = [getattr(self, column) for column in STATE_COLUMNS]
        self.engine.db.execute(_SAVE_STATE, (*values, self.id))

    def save_settings(self) -> None:
        """Write what was asked for, after `update`, `rename` or a network's connection."""
        self.engine.db.execute(
            "update containers set name = ?, host_config = ?, networking = ? where id = ?",
            (self.name, json.dumps(self.host_config), json.dumps(self.networking), self.id),
        )

    # ---- what others are told

    def event(self, action: str, **attributes: str) -> None:
        """Publish an event with Docker's attributes: labels, image, name."""
        about = {**self.labels, "image": self.image_ref, "name": self.name, **attributes}
        self.engine.events.publish("container", action, self.id, about)

    async def notify(self) -> None:
        """Wake whoever waits for a change of state."""
        async with self.changed:
            self.changed.notify_all()


def fresh(engine: Engine, container_id: str, name: str, **settings: Any) -> Container:
    """A container that has just been created; `settings`: its other columns, JSON encoded."""
    row = {
        "id": container_id, "name": name, "created": clock.now(), "status": "created",
        "pid": 0, "exit_code": 0, "started_at": clock.ZERO, "finished_at": clock.ZERO,
        "error": "", "oom_killed": 0, "restart_count": 0, "stopped_by_user": 0, "boot_id": "",
        **settings,
    }  # fmt: skip
    return Container(engine, row)
