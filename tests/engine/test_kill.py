"""A signal for a container that ends at that moment."""

import asyncio
import types

import pytest

from sampan.engine import monitors
from sampan.engine.containers import kill
from sampan.engine.errors import NotRunning
from sampan.kit import errors, paths


def test_a_monitor_whose_process_has_just_ended_means_not_running(monkeypatch):
    """So `rm -f` goes on to wait for the end that it will be told of."""

    async def ended(*_):
        raise errors.Conflict("container 1 is not running")

    monkeypatch.setattr(monitors, "ask", ended)
    engine = types.SimpleNamespace(paths=paths.Paths(root="/r", run="/r"))
    container = types.SimpleNamespace(
        id="1", status="running", engine=engine, require_running=bool, event=lambda *_, **__: None
    )
    with pytest.raises(NotRunning):
        asyncio.run(kill.send(container, 9))
