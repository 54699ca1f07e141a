"""Containers as units of systemd's, through the API (`./do test --vm --systemd`)."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.dockerapi.test_cgroup2 import directory, post, sleeper, values
from tests.dockerapi.test_containers import output, remove
from tests.engine_process import Engine, head
from tests.linux.test_cgroup_systemd import show

pytestmark = pytest.mark.needs("mount", "systemd")


@pytest.fixture(scope="module")
def module_engine() -> Iterator[Engine]:
    with Engine("--exec-opt", "native.cgroupdriver=systemd") as engine:
        yield engine


@pytest.fixture
def engine(module_engine: Engine) -> Iterator[Engine]:
    yield module_engine
    for container in module_engine.request("GET", "/containers/json?all=1")[1]:
        remove(module_engine, container["Id"])
    assert units(module_engine) == []


def unit(engine: Engine, container: str) -> str:
    return f"{engine.paths.cgroup_parent[1:]}-{container}.scope"


def units(engine: Engine) -> list[str]:
    """What systemd knows of this engine's containers, also as failed."""
    words = ["systemctl", "list-units", "--all", "--plain", "--no-legend"]
    pattern = f"{engine.paths.cgroup_parent[1:]}-*"
    shown = subprocess.run([*words, pattern], capture_output=True, text=True, check=True)
    return [line.split()[0] for line in shown.stdout.splitlines()]


def test_info_names_the_driver(engine: Engine) -> None:
    assert engine.request("GET", "/info")[1]["CgroupDriver"] == "systemd"


def test_a_container_is_a_scope_with_its_limits(engine: Engine) -> None:
    host = {"Memory": 64 << 20, "PidsLimit": 33, "CpuQuota": 20_000, "CpuPeriod": 100_000}
    notes = {"org.systemd.property.Documentation": "['https://example.org']", "of.nobody": "kept"}
    container = sleeper(engine, **host, Annotations=notes)
    name = unit(engine, container)
    assert directory(engine, container).endswith(f"/system.slice/{name}")
    for key, value in (
        ("ActiveState", "active"),
        ("Slice", "system.slice"),
        ("Delegate", "yes"),
        ("MemoryMax", str(64 << 20)),
        ("TasksMax", "33"),
        ("CPUQuotaPerSecUSec", "200ms"),
        ("Documentation", "https://example.org"),
    ):
        assert show(name, key) == value, key
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    expected = {"memory.max": str(64 << 20), "pids.max": "33", "cpu.max": "20000 100000"}
    assert values(engine, container, *expected) == expected


def test_systemd_ends_it_as_stop_would(engine: Engine) -> None:
    """At a shutdown, and after the engine."""
    script = "trap 'echo quit; exit 3' QUIT; echo trapped; while :; do sleep 1; done"
    container = engine.run("sh", "-c", script, StopSignal="SIGQUIT", StopTimeout=77)
    name = unit(engine, container)
    assert (show(name, "TimeoutStopUSec"), show(name, "KillSignal")) == ("1min 17s", "3")
    assert "shutdown.target" in show(name, "Conflicts").split()
    with open("/proc/self/cgroup") as file:
        ours = file.read().strip().rpartition("/")[2]
    if ours.endswith(".service"):
        assert ours in show(name, "Before").split()
    with engine.connect() as sock:
        sock.sendall(head("GET", f"/containers/{container}/logs?stdout=1&follow=1", None, {}))
        received = b""
        while b"trapped" not in received:
            received += sock.recv(4096)
    subprocess.run(["systemctl", "stop", name], check=True)
    assert engine.wait(container) == 3
    assert output(engine, container).endswith(b"quit\n")


def test_update_tells_systemd_and_the_kernel(engine: Engine) -> None:
    container = sleeper(engine, Memory=64 << 20)
    change = {"Memory": 48 << 20, "MemorySwap": 96 << 20, "PidsLimit": 12}
    post(engine, f"/containers/{container}/update", change)
    name = unit(engine, container)
    assert (show(name, "MemoryMax"), show(name, "TasksMax")) == (str(48 << 20), "12")
    expected = {"memory.max": str(48 << 20), "pids.max": "12"}
    assert values(engine, container, *expected) == expected


def test_pause_stats_and_exec(engine: Engine) -> None:
    container = sleeper(engine)
    for verb, frozen in (("pause", "1"), ("unpause", "0")):
        post(engine, f"/containers/{container}/{verb}")
        text = values(engine, container, "cgroup.events")["cgroup.events"]
        assert f"frozen {frozen}" in text.splitlines()
    stats = engine.request("GET", f"/containers/{container}/stats?stream=false&one-shot=true")[1]
    assert stats["pids_stats"]["current"] == 1
    body = {"Cmd": ["cat", "/proc/1/cgroup", "/proc/self/cgroup"], "AttachStdout": True}
    made = post(engine, f"/containers/{container}/exec", body)["Id"]
    assert engine.request("POST", f"/exec/{made}/start", {})[1].count(b"0::/\n") == 2


def test_a_limit_of_one_process_leaves_room_for_it(engine: Engine) -> None:
    """Its scope begins with a placeholder in it."""
    container = sleeper(engine, PidsLimit=1)
    assert values(engine, container, "pids.max") == {"pids.max": "1"}
    assert show(unit(engine, container), "TasksMax") == "1"


def test_an_end_by_the_out_of_memory_killer_leaves_no_unit(engine: Engine) -> None:
    container = engine.run(
        "sh", "-c", "tail /dev/zero; exit 5", HostConfig={"NetworkMode": "none", "Memory": 16 << 20}
    )
    assert engine.wait(container) in (5, 137)  # on a slow machine the kernel takes the shell, too
    assert engine.inspect(container)["State"]["OOMKilled"]
    with open(f"{engine.paths.bundle(container)}/exit.json") as file:
        assert json.load(file)["oom_killed"]  # for an engine that was not there
    assert units(engine) == []


def test_ends_and_restarts_leave_one_unit(engine: Engine) -> None:
    container = sleeper(engine)
    for _ in range(3):
        post(engine, f"/containers/{container}/restart?t=0")
        assert units(engine) == [unit(engine, container)]
    post(engine, f"/containers/{container}/stop?t=0")
    assert units(engine) == []


def test_a_start_that_fails_leaves_no_unit(engine: Engine) -> None:
    container = engine.create("/no/such/program", HostConfig={"NetworkMode": "none"})
    status, answer = engine.request("POST", f"/containers/{container}/start")
    assert status == 400, answer
    assert "no such file" in answer["message"]
    assert units(engine) == []


def test_a_parent_is_a_slice(engine: Engine) -> None:
    container = sleeper(engine, CgroupParent="smpown-inner.slice")
    where = f"/smpown.slice/smpown-inner.slice/{unit(engine, container)}"
    assert directory(engine, container).endswith(where)
    remove(engine, container)
    subprocess.run(["systemctl", "stop", "smpown.slice"], check=True)
    body = {"Image": "busybox", "HostConfig": {"CgroupParent": "/own/parent"}}
    status, answer = engine.request("POST", "/containers/create", body)
    assert status == 400
    words = 'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"'
    assert words in answer["message"]


def test_another_runtime_is_told(engine: Engine) -> None:
    if "/" not in engine.request("GET", "/info")[1]["Runtimes"]["runc"]["path"]:
        pytest.skip("no runc")
    container = sleeper(engine, Runtime="runc", Memory=64 << 20)
    name = unit(engine, container)
    assert directory(engine, container).endswith(f"/system.slice/{name}")
    assert show(name, "MemoryMax") == str(64 << 20)


def test_a_container_keeps_the_driver_that_it_was_started_with() -> None:
    """While engines come and go, told differently; one that dies without an engine, too."""
    with Engine("--exec-opt", "native.cgroupdriver=systemd") as engine:
        container = sleeper(engine)
        name = unit(engine, container)
        engine.stop()
        engine.options = ("--exec-opt", "native.cgroupdriver=cgroupfs")
        engine.start()
        assert engine.request("GET", "/info")[1]["CgroupDriver"] == "cgroupfs"
        assert directory(engine, container).endswith(name)
        post(engine, f"/containers/{container}/update", {"PidsLimit": 12})
        assert show(name, "TasksMax") == "12"
        post(engine, f"/containers/{container}/restart?t=0")
        assert directory(engine, container) == (
            f"/sys/fs/cgroup{engine.paths.cgroup_parent}/{container}"
        )
        assert units(engine) == []


def test_a_lost_monitor_leaves_no_unit(engine: Engine) -> None:
    container = sleeper(engine)
    pid = engine.inspect(container)["State"]["Pid"]
    with open(f"/proc/{pid}/stat") as file:
        monitor = int(file.read().rpartition(")")[2].split()[1])
    os.kill(monitor, 9)
    assert engine.wait(container) == 137
    assert units(engine) == []
    assert output(engine, container) == b""
