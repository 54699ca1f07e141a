"""The monitor that is made ahead of need: one, of nobody, and gone with its spawner."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from sampan.linux import cgroup, unix
from sampan.shim import protocol, spawn
from tests.shim.engine import PATIENCE, gone, read, spawner_pid, standing_by


def test_the_next_container_gets_the_monitor_that_waits(own_spawner, begin) -> None:
    monitor = standing_by(own_spawner)
    container = begin(["sleep", "1000"], at=own_spawner)
    container.wait_started()
    assert container.monitor_pid() == monitor
    again = begin(["sleep", "1000"], at=own_spawner)
    again.wait_started()
    assert again.monitor_pid() != monitor


def test_it_holds_nothing_but_its_line(own_spawner) -> None:
    pid = standing_by(own_spawner)
    links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    (line,) = [link for link in links if link != "/dev/null" and not link.endswith("spawner.log")]
    assert line.startswith("socket:")
    assert read(f"/proc/{pid}/environ") == "LD_BIND_NOW=1\0"


@pytest.mark.parametrize("end", ["killed", "retired"])
def test_it_ends_with_its_spawner(own_spawner, end) -> None:
    spawner = spawner_pid(own_spawner)
    waiting = standing_by(own_spawner)
    if end == "killed":
        os.kill(spawner, signal.SIGKILL)
    else:
        spawn.retire(own_spawner)
    assert gone(waiting) and gone(spawner)


def test_who_kills_it_stops_no_container(own_spawner, begin) -> None:
    waiting = standing_by(own_spawner)
    os.kill(waiting, signal.SIGKILL)
    assert gone(waiting)
    container = begin(["sh", "-c", "exit 7"], at=own_spawner)
    container.wait_started()
    assert container.wait_exit()["exit_code"] == 7


def test_a_start_that_is_given_up_before_its_request_leaves_nothing(own_spawner) -> None:
    """What the engine does when it finds that somebody outside is needed after all."""
    monitor = standing_by(own_spawner)
    path = f"{own_spawner.cgroup_parent}/given-up"
    with unix.connect(own_spawner.spawner_socket) as connection:
        connection.settimeout(PATIENCE)
        unix.send(connection, protocol.start(path))
        connection.shutdown(socket.SHUT_WR)
        while unix.receive(connection)[0] is not None:
            pass
    assert gone(monitor)
    assert not any(map(os.path.exists, cgroup.manager(path).paths().values()))
