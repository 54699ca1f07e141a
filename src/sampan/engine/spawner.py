"""The engine's hold on the spawner: one connection a request, a new spawner when it is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.engine import monitors
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.shim import spawn

if TYPE_CHECKING:
    from sampan.engine.monitors import Connection
    from sampan.kit.paths import Paths


class Spawner:
    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    async def start(self) -> None:
        await in_thread(spawn.ensure, self._paths)

    async def connect(self) -> Connection:
        """A connection for one request; whoever killed the spawner is forgiven once."""
        try:
            return await monitors.open(self._paths.spawner_socket)
        except errors.Unavailable:
            await self.start()
            return await monitors.open(self._paths.spawner_socket)
