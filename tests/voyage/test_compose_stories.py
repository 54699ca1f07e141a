"""A few of the stories of `./do conformance compose`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.compose import play
from tests.conformance.compose.stories import STORIES

from .conftest import IMAGE
from .programs import Engine, compose_program


@pytest.fixture
def host(engine: Engine) -> Iterator[str]:
    """An engine that has the image which the stories name."""
    engine.start()
    engine.cli("sampan")("tag", IMAGE, "busybox:latest")
    yield engine.socket
    engine.cli("sampan")("rmi", "busybox:latest")


@pytest.mark.parametrize("name", ["environments", "exec", "hooks", "networks", "orphans", "run"])
def test_a_story_ends_well(name: str, host: str, scratch: Path) -> None:
    play(name, STORIES[name], compose_program(), host, scratch)
