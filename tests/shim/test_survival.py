"""Who may die, and who goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from sampan.kit.paths import Paths
from sampan.linux import cgroup, unix
from sampan.shim import exit_record, protocol, spawn
from tests.shim.conftest import oci_config
from tests.shim.engine import Client, Container, eventually, gone, read, spawner_pid, standing_by

ENGINE = """
import json, sys
sys.path[:0] = {path!r}
from sampan.kit.paths import Paths
from tests.shim.engine import Container
request = json.loads(sys.argv[1])
container = Container(Paths(root=request.pop("root"), run=request.pop("run")), request.pop("id"))
container.begin([], [], **request)
container.wait_started()
print(json.dumps(container.started), flush=True)
sys.stdin.read()
"""


def test_a_killed_engine_costs_no_line_and_no_exit_code(paths, rootfs) -> None:
    """Lines come every 10 ms; the engine is killed amid them."""
    script = "i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i+1)); sleep 0.01; done; exit 4"
    container = Container(paths, "engine0killed")
    os.makedirs(container.bundle)
    config = oci_config(["sh", "-c", script])
    config["root"]["path"] = rootfs
    request = {
        "root": paths.root,
        "run": paths.run,
        "id": container.id,
        "config": config,
        "cgroup": f"{paths.cgroup_parent}/{container.id}",
        "log": {"driver": "json-file", "path": container.log, "max_size": 900, "max_file": 100},
    }
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE.format(path=sys.path), json.dumps(request)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with engine:
        container.started = json.loads(engine.stdout.readline())
        engine.kill()
    next_engine = container.connect()
    unix.send(next_engine, protocol.subscribe())
    state, _ = unix.receive(next_engine)
    assert (state["pid"], state["started_at"]) == (
        container.pid,
        container.started["started_at"],
    )
    ended, _ = unix.receive(next_engine)
    next_engine.close()
    assert ended["exit_code"] == exit_record.read(container.bundle).exit_code == 4
    names = [name for name in os.listdir(container.bundle) if name.startswith("log")]
    lines = []
    for name in sorted(names, key=lambda name: -int(name[4:] or 0)):
        with open(f"{container.bundle}/{name}") as file:
            lines += [json.loads(line)["log"] for line in file]
    assert lines == [f"line {n}\n" for n in range(60)]
    assert len(names) > 3


def test_an_attached_client_outlives_the_engine(start) -> None:
    client = Client(stdin=True, stdout=True)
    container = start(["cat"], client, stdin=True, stdin_once=True)
    container.connection.close()
    client.send(b"still talking\n")
    client.read_until(b"still talking\n")
    client.half_close()
    client.read_all()
    assert eventually(lambda: exit_record.read(container.bundle))


def test_the_container_dies_with_its_monitor(start) -> None:
    container = start(["sleep", "1000"])
    os.kill(container.monitor_pid(), signal.SIGKILL)
    assert gone(container.pid)
    assert exit_record.read(container.bundle) is None
    group = cgroup.manager(f"{container.paths.cgroup_parent}/{container.id}")
    group.kill()
    group.delete()
    os.unlink(container.paths.monitor_socket(container.id))


def test_monitors_ignore_polite_signals(start) -> None:
    container = start(["sleep", "1000"])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(container.monitor_pid(), number)
    assert container.ask(protocol.resize(1, 1))["kind"] == "Conflict"
    with open(f"/proc/{container.pid}/status") as file:
        ignored = next(line for line in file if line.startswith("SigIgn"))
    assert int(ignored.split()[1], 16) == 0


def test_monitors_live_on_without_their_spawner(own_spawner, begin) -> None:
    container = begin(["sleep", "1000"], at=own_spawner)
    container.wait_started()
    first = spawner_pid(own_spawner)
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    assert container.exec(["true"], exec_id="e")["event"] == "started"
    spawn.ensure(own_spawner)
    assert spawner_pid(own_spawner) != first
    again = begin(["true"], at=own_spawner)
    again.wait_started()
    assert again.wait_exit()["exit_code"] == 0


def test_a_spawner_of_other_code_is_replaced(own_spawner, monkeypatch) -> None:
    first = spawner_pid(own_spawner)
    spawn.ensure(own_spawner)
    assert spawner_pid(own_spawner) == first
    monkeypatch.setattr(spawn, "version", lambda: "newer")
    spawn.ensure(own_spawner)
    assert spawner_pid(own_spawner) != first
    assert gone(first)


def test_a_spawner_that_cannot_start_says_why(tmp_path) -> None:
    paths = Paths(root=f"{tmp_path}/root", run=f"{tmp_path}/run")
    os.makedirs(f"{paths.spawner_socket}/in the way")
    with pytest.raises(spawn.SpawnerFailed, match="Is a directory"):
        spawn.ensure(paths)


def test_nothing_is_left_of_fifty_containers(own_spawner, begin) -> None:
    spawner = spawner_pid(own_spawner)
    containers = []
    for number in range(50):
        container = begin(["sh", "-c", "sleep 1000 & echo x"], at=own_spawner)
        containers.append(container)
        if number % 10 == 9:
            for one in containers[-10:]:
                one.wait_started()
    for container in containers:
        assert container.wait_exit()["exit_code"] == 0
        assert gone(container.pid)
        assert os.listdir(container.bundle) in (["log", "exit.json"], ["exit.json", "log"])
    assert os.listdir(f"{own_spawner.run}/containers") == []
    standing_by(own_spawner)
    assert eventually(lambda: len(os.listdir(f"/proc/{spawner}/fd")) == 5)
    for directory in cgroup.manager(own_spawner.cgroup_parent).paths().values():
        assert not os.path.exists(directory) or not [
            name for name in os.listdir(directory) if os.path.isdir(f"{directory}/{name}")
        ]


def test_the_spawner_keeps_nothing_of_its_caller(own_spawner) -> None:
    pid = spawner_pid(own_spawner)
    assert read(f"/proc/{pid}/environ") == "LD_BIND_NOW=1\0"
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.getsid(pid) != os.getsid(0)
    assert read(f"/proc/{pid}/comm") == "sampan-spawner\n"
    standing_by(own_spawner)
    assert eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) == 5)
