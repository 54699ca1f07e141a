"""Scheduler, priorities, memory policy, network devices: seen from inside real containers."""

import json
import os
import shutil
import socket
import subprocess

import pytest

from tests.conformance.test_oci_runtime import SAMPAN, Runtime

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def runtime(tmp_path):
    if not shutil.which("busybox"):
        pytest.skip("needs busybox")
    made = Runtime(SAMPAN, tmp_path, "tuning")
    yield made
    for container in made.made:
        made("delete", "--force", container, fails=True)


def stat_fields(runtime, **process):
    """Nice value and policy by /proc/self/stat (proc(5), fields 19 and 41)."""
    done = runtime.run("cat", "/proc/self/stat", **process)
    assert done.returncode == 0, done.stderr
    fields = done.stdout.rpartition(")")[2].split()
    return int(fields[16]), int(fields[38])


def test_scheduler(runtime):
    assert stat_fields(runtime, scheduler={"policy": "SCHED_BATCH", "nice": 7}) == (7, 3)


@pytest.mark.parametrize(
    ("scheduler", "place"),
    [
        ({"policy": "SCHED_FAST"}, "process.scheduler.policy"),
        ({"policy": "SCHED_OTHER", "nice": 20}, "process.scheduler.nice"),
        ({"policy": "SCHED_OTHER", "priority": 1}, "process.scheduler.priority"),
        ({"policy": "SCHED_OTHER", "flags": ["X"]}, "process.scheduler.flags[0]"),
        ({"policy": "SCHED_FIFO", "runtime": 1}, "SCHED_DEADLINE"),
    ],
)
def test_a_wrong_scheduler_is_named(runtime, scheduler, place):
    done = runtime.run("true", scheduler=scheduler)
    assert done.returncode == 1
    assert place in done.stderr


def test_a_wrong_io_priority_is_named(runtime):
    done = runtime.run("true", ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 8})
    assert (done.returncode, "process.ioPriority.priority" in done.stderr) == (1, True)


@pytest.mark.skipif(not os.path.exists("/proc/self/numa_maps"), reason="needs a NUMA kernel")
def test_memory_policy(runtime):
    runtime.config["linux"]["memoryPolicy"] = {"mode": "MPOL_INTERLEAVE", "nodes": "0"}
    done = runtime.run("cat", "/proc/self/numa_maps")
    assert "interleave:0" in done.stdout, done.stderr


def test_exec_runs_on_the_final_cpus(runtime):
    last = max(os.sched_getaffinity(0))
    container = runtime.create("sleep", "60")
    runtime("start", container)
    process = {
        "args": ["cat", "/proc/self/status"],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "execCPUAffinity": {"initial": "0", "final": str(last)},
    }
    (runtime.bundle / "process.json").write_text(json.dumps(process))
    shown = runtime("exec", "--process", "process.json", container).stdout
    assert f"Cpus_allowed_list:\t{last}\n" in shown


def test_apparmor_fails_closed(runtime):
    if os.path.exists("/sys/kernel/security/apparmor"):
        pytest.skip("AppArmor is there")
    done = runtime.run("true", apparmorProfile="docker-default")
    assert done.returncode == 1
    assert "process.apparmorProfile" in done.stderr
    assert "AppArmor" in done.stderr


def test_intel_rdt_fails_closed(runtime):
    runtime.config["linux"]["intelRdt"] = {"closID": "guaranteed"}
    done = runtime.run("true")
    assert (done.returncode, "linux.intelRdt" in done.stderr) == (1, True)


def test_network_devices_move_with_their_addresses(runtime):
    name = f"smpt{os.getpid() % 100000}"
    ip = shutil.which("ip")
    if not ip:
        pytest.skip("needs iproute2")
    subprocess.run([ip, "link", "add", name, "type", "veth", "peer", f"{name}p"], check=True)
    try:
        subprocess.run([ip, "addr", "add", "198.51.100.77/28", "dev", name], check=True)
        runtime.config["linux"]["netDevices"] = {name: {"name": "inside0"}}
        (runtime.rootfs / "bin" / "ip").symlink_to("busybox")
        done = runtime.run("ip", "addr", "show", "inside0")
        assert "198.51.100.77/28" in done.stdout, done.stderr
        assert "UP" in done.stdout
    finally:
        subprocess.run([ip, "link", "del", f"{name}p"], check=False, capture_output=True)


def test_a_missing_network_device_is_named(runtime):
    runtime.config["linux"]["netDevices"] = {"not-there0": {}}
    done = runtime.run("true")
    assert (done.returncode, "linux.netDevices.not-there0" in done.stderr) == (1, True)


def test_the_agent_of_seccomp_gets_the_listener_and_the_state(runtime, tmp_path):
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(path)
        server.listen()
        server.settimeout(20)
        runtime.config["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": path,
            "listenerMetadata": "for the agent",
            "syscalls": [{"names": ["swapon"], "action": "SCMP_ACT_NOTIFY"}],
        }
        assert runtime.run("true", noNewPrivileges=True).returncode == 0
        agent, _ = server.accept()
        with agent:
            data, fds, _, _ = socket.recv_fds(agent, 65536, 4)
            rest = agent.recv(1)
    for fd in fds:
        os.close(fd)
    state = json.loads(data)
    assert (len(fds), rest) == (1, b"")
    assert (state["fds"], state["metadata"]) == (["seccompFd"], "for the agent")
    assert (state["state"]["status"], state["state"]["pid"]) == ("creating", state["pid"])


@pytest.mark.parametrize("change", [{"listenerPath": ""}, {"listenerMetadata": "x"}])
def test_a_listener_that_cannot_be_is_refused(runtime, change):
    entry = {"names": ["write"], "action": "SCMP_ACT_NOTIFY"}
    runtime.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [entry],
        **change,
    }
    done = runtime.run("true")
    assert (done.returncode, "linux.seccomp.listener" in done.stderr) == (1, True)
