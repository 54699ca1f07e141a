"""What programs beyond docker's own look at: monitors, Go's client, old userlands."""

from __future__ import annotations

import json

import pytest

from sampan.linux import cgroup
from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")


def test_mtab_leads_to_the_mounts(engine: Engine) -> None:
    """As under dockerd; it is no change of the container's."""
    container = engine.run("sh", "-c", "readlink /etc/mtab; stat -c %a /.dockerenv")
    engine.wait(container)
    assert engine.request("GET", f"/containers/{container}/logs?stdout=1&stderr=1")[1].endswith(
        b"/proc/mounts\n\x01\0\0\0\0\0\0\x04755\n"
    )
    assert not engine.request("GET", f"/containers/{container}/changes")[1]
    engine.request("DELETE", f"/containers/{container}")


@pytest.mark.skipif(cgroup.unified(), reason="cgroup v2 has no such number in Docker's stats")
def test_stats_have_the_most_memory_that_was_used(engine: Engine) -> None:
    container = engine.run("sleep", "900")
    _, stats = engine.request("GET", f"/containers/{container}/stats?stream=false&one-shot=true")
    stats = stats if isinstance(stats, dict) else json.loads(stats)
    memory = stats["memory_stats"]
    assert memory["max_usage"] >= memory["usage"] > 0
    engine.request("DELETE", f"/containers/{container}?force=1")
