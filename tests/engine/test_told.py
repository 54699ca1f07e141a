"""What a client hears of the layers of a pull."""

import asyncio
from typing import Any

import pytest

from sampan.engine.images import told
from sampan.registry.events import Event


@pytest.mark.parametrize(
    ("coming", "lines"), [("", []), ("sha256:b", ["Pulling fs layer", "Already exists"])]
)
def test_layers_that_are_here_are_told_only_beside_one_that_comes(coming, lines):
    """Ansible takes any word of a layer for a change."""
    said: list[dict[str, Any]] = []

    async def report(message: dict[str, Any]) -> None:
        said.append(message)

    async def work() -> None:
        async with told.Teller(report, told.PULL) as tell:
            if coming:
                tell(Event(kind="layer", digest=coming, total=1))
            tell(Event(kind="exists", digest="sha256:a", total=1))

    asyncio.run(work())
    assert [line["status"] for line in said] == lines
