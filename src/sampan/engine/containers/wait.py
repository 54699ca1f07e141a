"""`wait`: until a container has ended, ends the next time, or is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from sampan.engine.containers.container import Container

CONDITIONS = ("not-running", "next-exit", "removed")


def prepare(container: Container, condition: str = "not-running") -> Awaitable[int]:
    """What to await: the exit code. The moment counts from now, not from the await."""
    condition = condition or "not-running"
    if condition not in CONDITIONS:
        raise errors.InvalidArgument(f'invalid condition: "{condition}"')
    return _wait(container, condition, container.exits)


async def _wait(container: Container, condition: str, exits: int) -> int:
    def reached() -> bool:
        if container.removed:
            return True
        if condition == "removed":
            return False
        if condition == "next-exit":
            return container.exits > exits
        # A restart policy may have it running again before we look: an exit since then counts.
        return container.exits > exits or not (
            container.running or container.status == "restarting"
        )

    async with container.changed:
        await container.changed.wait_for(reached)
    return container.exit_code


async def ended(container: Container, seconds: float | None = None) -> bool:
    """Whether it stopped running within so many seconds (None: however long it takes)."""
    try:
        async with asyncio.timeout(seconds):
            async with container.changed:
                await container.changed.wait_for(lambda: not container.running)
    except TimeoutError:
        return False
    return True
