"""All containers of the engine, by id, by name, by the start of an id."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.engine.engine import Engine


class Containers:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def start(self) -> None:
        """Take over what a former engine left."""

    async def stop(self) -> None:
        """Let go; everything runs on."""
