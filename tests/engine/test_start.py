"""A start whose monitor is killed before it says that the container runs."""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace

import pytest

from sampan.engine import cgroups
from sampan.engine.containers import start
from sampan.kit import errors
from sampan.linux import cgroup


class Ended:
    """A connection whose other end was killed."""

    async def receive(self) -> tuple[None, list[int]]:
        return None, []


@pytest.mark.needs("mount")
def test_what_a_killed_monitor_left_of_the_cgroup_is_removed() -> None:
    paths = SimpleNamespace(cgroup_parent=f"/sampan-test-start-{os.getpid()}")
    engine = SimpleNamespace(paths=paths)
    container = SimpleNamespace(id="0" * 64, host_config={}, engine=engine)
    group = cgroup.manager(cgroups.place(container, cgroups.CGROUPFS))
    group.create()
    with pytest.raises(errors.Unavailable, match="monitor went away"):
        asyncio.run(start._answer(container, Ended()))
    assert not any(map(os.path.exists, group.paths().values()))
    cgroup.manager(paths.cgroup_parent).delete()
