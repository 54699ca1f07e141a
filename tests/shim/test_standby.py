"""The monitor that is made ahead of need: one, of nobody, and gone with its spawner."""

from __future__ import annotations

import os
import signal

import pytest

from sampan.kit.paths import Paths
from sampan.shim import spawn
from tests.shim.engine import children_of, eventually, gone, read, spawner_pid


def standing_by(paths: Paths) -> tuple[int, int]:
    """The monitor that waits, and its helper."""
    (monitor,) = children_of(spawner_pid(paths), 1)
    assert eventually(lambda: read(f"/proc/{monitor}/cmdline").strip("\0") == "sampan-standby")
    (helper,) = children_of(monitor, 1)
    return monitor, helper


def test_the_next_container_gets_the_monitor_that_waits(own_spawner, begin) -> None:
    monitor, helper = standing_by(own_spawner)
    container = begin(["sleep", "1000"], at=own_spawner)
    container.wait_started()
    assert container.monitor_pid() == monitor
    assert gone(helper) or container.pid == helper
    again = begin(["sleep", "1000"], at=own_spawner)
    again.wait_started()
    assert again.monitor_pid() != monitor


def test_it_holds_nothing_but_its_line(own_spawner) -> None:
    for pid in standing_by(own_spawner):
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        own = [link for link in links if link != "/dev/null" and not link.endswith("spawner.log")]
        assert len(own) <= 2 and all(link.startswith("socket:") for link in own), links
        assert read(f"/proc/{pid}/environ") == "LD_BIND_NOW=1\0"


@pytest.mark.parametrize("end", ["killed", "retired"])
def test_it_ends_with_its_spawner(own_spawner, end) -> None:
    waiting = standing_by(own_spawner)
    if end == "killed":
        os.kill(spawner_pid(own_spawner), signal.SIGKILL)
    else:
        spawn.retire(own_spawner)
    assert all(map(gone, waiting))


@pytest.mark.parametrize("which", [0, 1])
def test_who_kills_it_stops_no_container(own_spawner, begin, which) -> None:
    """Its monitor, or the helper of that: either takes the other with it."""
    waiting = standing_by(own_spawner)
    os.kill(waiting[which], signal.SIGKILL)
    assert all(map(gone, waiting))
    container = begin(["sh", "-c", "exit 7"], at=own_spawner)
    container.wait_started()
    assert container.wait_exit()["exit_code"] == 7
