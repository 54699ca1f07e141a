"""The stream of `stats`."""

import asyncio
import types

from sampan.engine.containers import stats


async def _count_until_removed() -> int:
    container = types.SimpleNamespace(
        name="a", id="1", removed=False, running=False, exits=0, exit_code=0,
        changed=asyncio.Condition(),
    )  # fmt: skip
    seen = 0
    async for _ in stats.stream(container):
        seen += 1
        container.removed = True
    return seen


def test_the_stream_ends_with_the_container(monkeypatch):
    """Not when the next sample would be due."""
    monkeypatch.setattr(stats, "INTERVAL", 1000.0)
    assert asyncio.run(asyncio.wait_for(_count_until_removed(), 10)) == 1
