"""A start whose monitor is killed before it says that the container runs."""

from __future__ import annotations

import asyncio
import os
from types import SimpleNamespace

import pytest

from sampan.engine.containers import start
from sampan.kit import errors
from sampan.linux import cgroup


class Ended:
    """A connection whose other end was killed."""

    async def receive(self) -> tuple[None, list[int]]:
        return None, []


@pytest.mark.needs("mount")
def test_what_a_killed_monitor_left_of_the_cgroup_is_removed() -> None:
    above = f"/sampan-test-start-{os.getpid()}"
    engine = SimpleNamespace(paths=SimpleNamespace(cgroup_parent=above), cgroup_driver="cgroupfs")
    container = SimpleNamespace(
        id="cut-short", engine=engine, host_config={}, cgroup_driver="cgroupfs",
        cgroup=f"{above}/cut-short",
    )  # fmt: skip
    group = cgroup.manager(container.cgroup)
    group.create()
    try:
        with pytest.raises(errors.Unavailable, match="monitor went away"):
            asyncio.run(start._answer(container, Ended()))
        assert not any(map(os.path.exists, group.paths().values()))
    finally:
        cgroup.manager(above).delete()
