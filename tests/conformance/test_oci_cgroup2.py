"""An OCI runtime that sees cgroup v2 alone: each command in a mount namespace with that mount.

On a host with v1 the tree has few controllers, but freezing, killing and device programs; runc
passes the same tests.
"""

import os
import select

import pytest

from tests.conformance.test_oci_runtime import runtime  # noqa: F401

pytestmark = pytest.mark.needs("mount")
UNIFIED = "/sys/fs/cgroup/unified"
_ONLY_V2 = 'mount -t cgroup2 none /sys/fs/cgroup && exec "$@"'


@pytest.fixture
def alone(runtime):  # noqa: F811
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        runtime.tree = "/sys/fs/cgroup"
    elif os.path.exists(f"{UNIFIED}/cgroup.procs"):
        runtime.tree = UNIFIED
        runtime.command[:0] = ["unshare", "-m", "sh", "-c", _ONLY_V2, "sh"]
    else:
        pytest.skip("this host cannot: cgroup2")
    return runtime


@pytest.fixture
def container(alone):
    made = alone.create("sh", "-c", "sleep 100 & sleep 100")
    alone("start", made)
    return made


def file(alone, container, name):
    with open(f"{alone.tree}/{container}/{name}") as found:
        return found.read().strip()


def test_it_is_in_its_cgroup_from_its_first_instruction_to_its_end(alone):
    ask = """
    pid=$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/')
    grep ^0:: /proc/$pid/cgroup >"$0/seen"
    """
    hook = {"path": "/bin/sh", "args": ["sh", "-c", ask, str(alone.bundle)]}
    alone.config["hooks"] = {"createRuntime": [hook]}
    container = alone.create("sleep", "100")
    alone("start", container)
    assert f"/{container}" in (alone.bundle / "seen").read_text()
    assert (alone.bundle / "pid").read_text() in file(alone, container, "cgroup.procs").split()
    alone("delete", "--force", container)
    assert not os.path.exists(f"{alone.tree}/{container}")


def test_its_own_cgroup_is_the_root_of_what_it_sees(alone):
    alone.config["linux"]["namespaces"].append({"type": "cgroup"})
    options = ["nosuid", "noexec", "nodev", "ro"]
    alone.config["mounts"] += [
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": options},
        {
            "destination": "/sys/fs/cgroup",
            "type": "cgroup",
            "source": "cgroup",
            "options": options,
        },
    ]
    done = alone.run("sh", "-c", "grep ^0:: /proc/self/cgroup; cat /sys/fs/cgroup/cgroup.procs")
    assert done.stdout.split()[:2] == ["0::/", "1"], done.stderr
    done = alone.run("sh", "-c", "mkdir /sys/fs/cgroup/new")
    assert "ead-only file system" in done.stderr


def test_devices_are_ruled_by_a_program(alone):
    rules = alone.config["linux"]["resources"]["devices"]
    rules.append({"allow": True, "type": "c", "major": 241, "minor": 1, "access": "r"})
    alone.config["linux"][
        "devices"
    ] = [  # no driver has them: the kernel says so, or that we may not
        {"path": f"/dev/{name}", "type": "c", "major": 241, "minor": minor}
        for name, minor in (("given", 1), ("other", 2))
    ]
    script = "for d in null given other; do true </dev/$d && echo may-read-$d; done"
    first = alone.run("sh", "-c", script)
    container = alone.create("sleep", "100")
    alone("start", container)
    more = alone("exec", container, "/bin/busybox", "sh", "-c", script, fails=True)
    for done in (first, more):
        assert "may-read-null" in done.stdout
        given, other = done.stderr.splitlines()[-2:]
        assert "given: No such device" in given
        assert "other: Operation not permitted" in other


def test_pause_and_resume(alone, container):
    alone("pause", container)
    assert alone.status(container) == "paused"
    assert "frozen 1" in file(alone, container, "cgroup.events")
    alone("resume", container)
    assert "frozen 0" in file(alone, container, "cgroup.events")


def test_all_processes_end_without_a_pid_namespace(alone):
    spaces = alone.config["linux"]["namespaces"]
    spaces[:] = [item for item in spaces if item["type"] != "pid"]
    container = alone.create("sh", "-c", "sleep 100 & echo begun >/tmp/begun; sleep 100")
    alone("start", container)
    while not (alone.rootfs / "tmp/begun").exists():
        os.sched_yield()
    pids = [int(line) for line in file(alone, container, "cgroup.procs").split()]
    assert len(pids) >= 2
    ends = [os.pidfd_open(pid) for pid in pids]
    alone("delete", "--force", container)
    for fd in ends:
        assert select.select([fd], [], [], 10)[0]  # runc's are at it still, on a busy machine
        os.close(fd)


def test_exec_joins_it(alone, container):
    done = alone("exec", container, "cat", "/proc/self/cgroup")
    assert f"0::/{container}" in done.stdout


def test_a_limit_without_its_controller_is_named(alone):
    with open(f"{alone.tree}/cgroup.controllers") as found:
        if "memory" in found.read().split():
            pytest.skip("memory is in v2 here")
    alone.config["linux"]["resources"]["memory"] = {"limit": 64 << 20}
    done = alone.run("true")
    assert done.returncode == 1
    assert "memory" in done.stderr
    assert not os.path.exists(f"{alone.tree}/smp-{alone.name}-{os.getpid()}-run")
