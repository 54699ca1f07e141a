"""Limits, figures and the freezer on a host with cgroup v2 alone, through the API."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from sampan.linux.cgroup import base
from tests.dockerapi.test_containers import output, remove
from tests.engine_process import Engine, head

pytestmark = pytest.mark.needs("mount", "cgroup2")


@pytest.fixture
def engine(engine: Engine) -> Iterator[Engine]:
    yield engine
    for container in engine.request("GET", "/containers/json?all=1")[1]:
        remove(engine, container["Id"])


def directory(engine: Engine, container: str) -> str:
    """Where its PID 1 is."""
    with open(f"/proc/{engine.inspect(container)['State']['Pid']}/cgroup") as file:
        return f"/sys/fs/cgroup{file.read().strip().removeprefix('0::')}"


def values(engine: Engine, container: str, *names: str) -> dict[str, str]:
    top = directory(engine, container)
    found = {}
    for name in names:
        with open(f"{top}/{name}") as file:
            found[name] = file.read().strip()
    return found


def sleeper(engine: Engine, **host: Any) -> str:
    return engine.run("sleep", "1000", HostConfig={"NetworkMode": "none", **host})


def post(engine: Engine, path: str, body: Any = None) -> Any:
    status, answer = engine.request("POST", path, body)
    assert status < 300, answer
    return answer


def test_limits_become_the_files_of_v2(engine: Engine) -> None:
    container = sleeper(
        engine, Memory=64 << 20, MemorySwap=96 << 20, MemoryReservation=32 << 20, CpuShares=2048,
        NanoCpus=1_500_000_000, PidsLimit=50, CpusetCpus="0",
    )  # fmt: skip
    expected = {
        "memory.max": str(64 << 20), "memory.swap.max": str(32 << 20),
        "memory.low": str(32 << 20), "cpu.max": "150000 100000", "pids.max": "50",
        "cpuset.cpus": "0",
    }  # fmt: skip
    assert values(engine, container, *expected) == expected
    weight = int(values(engine, container, "cpu.weight")["cpu.weight"])
    assert 100 < weight < 300


def test_memory_alone_gives_as_much_swap(engine: Engine) -> None:
    for host, swap in (
        ({"Memory": 64 << 20}, str(64 << 20)),
        ({"Memory": 64 << 20, "MemorySwap": -1}, "max"),
        ({"Memory": 64 << 20, "MemorySwap": 64 << 20}, "0"),
    ):
        container = sleeper(engine, **host)
        assert values(engine, container, "memory.swap.max") == {"memory.swap.max": swap}


def test_update_changes_a_running_container(engine: Engine) -> None:
    container = sleeper(engine, Memory=64 << 20)
    post(engine, f"/containers/{container}/update",
         {"Memory": 128 << 20, "MemorySwap": 256 << 20, "PidsLimit": 7, "CpuShares": 512,
          "CpuQuota": 20_000, "CpuPeriod": 50_000})  # fmt: skip
    expected = {
        "memory.max": str(128 << 20), "memory.swap.max": str(128 << 20), "pids.max": "7",
        "cpu.max": "20000 50000",
    }  # fmt: skip
    assert values(engine, container, *expected) == expected


def test_a_weight_of_block_devices(engine: Engine) -> None:
    container = sleeper(engine, BlkioWeight=300)
    top = directory(engine, container)
    if os.path.exists(f"{top}/io.bfq.weight"):
        assert values(engine, container, "io.bfq.weight") == {"io.bfq.weight": "default 300"}
    else:
        assert values(engine, container, "io.weight") == {"io.weight": "default 2930"}


def test_pause_freezes(engine: Engine) -> None:
    container = sleeper(engine)
    for verb, frozen in (("pause", "1"), ("unpause", "0")):
        post(engine, f"/containers/{container}/{verb}")
        text = values(engine, container, "cgroup.events")["cgroup.events"]
        assert f"frozen {frozen}" in text.splitlines()


def test_what_the_out_of_memory_killer_ended_says_so(engine: Engine) -> None:
    container = engine.run(
        "tail", "/dev/zero", HostConfig={"NetworkMode": "none", "Memory": 16 << 20}
    )
    assert engine.wait(container) == 137
    assert engine.inspect(container)["State"]["OOMKilled"]


def test_a_child_that_is_killed_for_memory_is_noticed_too(engine: Engine) -> None:
    """memory.events counts each kill; PID 1 lives on and its exit code is its own."""
    container = engine.run(
        "sh", "-c", "tail /dev/zero; exit 5", HostConfig={"NetworkMode": "none", "Memory": 16 << 20}
    )
    assert engine.wait(container) == 5
    assert engine.inspect(container)["State"]["OOMKilled"]


def test_stats_have_the_fields_of_v2(engine: Engine) -> None:
    container = sleeper(engine, Memory=64 << 20, PidsLimit=9)
    query = "stream=false&one-shot=true"
    found = engine.request("GET", f"/containers/{container}/stats?{query}")[1]
    assert found["memory_stats"]["limit"] == 64 << 20
    assert 0 < found["memory_stats"]["usage"] < 64 << 20
    assert {"anon", "file", "inactive_file", "slab"} <= found["memory_stats"]["stats"].keys()
    assert found["pids_stats"] == {"current": 1, "limit": 9}
    assert found["cpu_stats"]["cpu_usage"]["total_usage"] > 0
    assert "percpu_usage" not in found["cpu_stats"]["cpu_usage"]


def test_stats_count_what_went_to_a_disk(engine: Engine) -> None:
    """/tmp is on a disk in the VM; every write is told by its device."""
    script = "dd if=/dev/zero of=/file bs=64k count=16 conv=fsync 2>/dev/null; echo done; sleep 99"
    container = engine.run("sh", "-c", script)
    query = "stdout=1&follow=1"
    with engine.connect() as sock:
        sock.sendall(head("GET", f"/containers/{container}/logs?{query}", None, {}))
        received = b""
        while b"done" not in received:
            received += sock.recv(4096)
    found = engine.request("GET", f"/containers/{container}/stats?stream=false&one-shot=true")[1]
    entries = found["blkio_stats"]["io_service_bytes_recursive"]
    assert {entry["op"] for entry in entries} <= {"read", "write"}
    assert max(entry["value"] for entry in entries if entry["op"] == "write") >= 1 << 20


def test_info_speaks_of_v2(engine: Engine) -> None:
    found = engine.request("GET", "/info")[1]
    assert found["CgroupVersion"] == "2"
    assert found["CgroupDriver"] in ("cgroupfs", "systemd")
    assert "name=cgroupns" in found["SecurityOptions"]
    assert not found["OomKillDisable"]


def test_what_v2_has_not_is_left_out_with_a_warning(engine: Engine) -> None:
    host = {"NetworkMode": "none", "MemorySwappiness": 10, "OomKillDisable": True}
    answer = post(engine, "/containers/create", {"Image": "busybox", "HostConfig": host})
    assert [text.split(" exists only")[0] for text in answer["Warnings"]] == [
        "memory swappiness", "disabling the out-of-memory killer",
    ]  # fmt: skip
    post(engine, f"/containers/{answer['Id']}/start")


def test_a_private_and_the_hosts_cgroup_namespace(engine: Engine) -> None:
    for mode, path in (("private", "0::/"), ("host", "")):
        host = {"NetworkMode": "none", "CgroupnsMode": mode}
        container = engine.run("cat", "/proc/self/cgroup", HostConfig=host)
        engine.wait(container)
        if engine.request("GET", "/info")[1]["CgroupDriver"] == "systemd":
            name = f"/system.slice/{engine.paths.cgroup_parent[1:]}-{container}.scope"
        else:
            name = f"{engine.paths.cgroup_parent}/{container}"
        expected = path or f"0::{name}"
        assert output(engine, container).decode().strip() == expected


def test_a_parent_of_ones_own() -> None:
    with Engine("--exec-opt", "native.cgroupdriver=cgroupfs") as engine:
        _parent_of_ones_own(engine)


def _parent_of_ones_own(engine: Engine) -> None:
    parent = f"{engine.paths.cgroup_parent}/own/parent"
    container = sleeper(engine, CgroupParent=parent, Memory=64 << 20)
    where = directory(engine, container)
    assert where == f"/sys/fs/cgroup{parent}/{container}"
    assert values(engine, container, "memory.max") == {"memory.max": str(64 << 20)}
    remove(engine, container)
    os.rmdir(os.path.dirname(where))
    os.rmdir(os.path.dirname(os.path.dirname(where)))


def test_writable_cgroups_hand_down_controllers(engine: Engine) -> None:
    """What a systemd in a container does: its processes into a leaf, then the controllers on."""
    script = (
        "mkdir /sys/fs/cgroup/leaf && echo $$ >/sys/fs/cgroup/leaf/cgroup.procs && "
        "echo +pids +memory >/sys/fs/cgroup/cgroup.subtree_control && mkdir /sys/fs/cgroup/more && "
        "cat /sys/fs/cgroup/more/pids.max"
    )
    for options, code in (([], 1), (["writable-cgroups=true"], 0)):
        host = {"NetworkMode": "none", "SecurityOpt": options}
        container = engine.run("sh", "-c", script, HostConfig=host)
        assert engine.wait(container) == code, output(engine, container)


IN_A_CONTAINER = """
echo +memory +pids >/sys/fs/cgroup/cgroup.subtree_control &&
mkdir "$1" && echo $$ >"$1/cgroup.procs" && shift &&
exec unshare -C -m sh -c '
  umount -l /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec "$@"' sh "$@"
"""


def test_an_engine_in_a_container_makes_room_for_its_containers() -> None:
    """The root of its cgroup namespace is where it is itself, and may hand nothing down so."""
    outer = f"/sys/fs/cgroup/outer-{os.getpid()}"
    below = ("sh", "-c", IN_A_CONTAINER, "sh", outer)
    try:
        with Engine("--exec-opt", "native.cgroupdriver=cgroupfs", below=below) as engine:
            container = sleeper(engine, Memory=64 << 20, PidsLimit=9)
            pid = engine.inspect(container)["State"]["Pid"]
            with open(f"/proc/{pid}/cgroup") as file:
                assert file.read().startswith(f"0::/{os.path.basename(outer)}/sampan-")
            where = f"{outer}{engine.paths.cgroup_parent}/{container}"
            with open(f"{where}/memory.max") as file:
                assert file.read() == f"{64 << 20}\n"
    finally:
        base.remove(outer)
