"""What an OCI runtime itself charges to its container's memory, with the usual mounts."""

import os

import pytest

from tests.conformance.test_oci_runtime import runtime  # noqa: F401

KIB = 1 << 10
V2 = os.path.exists("/sys/fs/cgroup/cgroup.controllers")
LEAST = (1024 if V2 else 512) * KIB  # on v2 each processor charges 256 KiB ahead
SAFE = ["nosuid", "noexec", "nodev"]
MOUNTS = [
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": [*SAFE, "mode=1777"]},
    {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": SAFE},
    {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*SAFE, "ro"]},
    {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": SAFE},
]


@pytest.fixture(params=["own", "host"])
def usual(runtime, request):  # noqa: F811
    """A runtime whose container has the usual mounts, with and without a cgroup namespace."""
    runtime.config["mounts"] += MOUNTS
    if request.param == "own":
        runtime.config["linux"]["namespaces"].append({"type": "cgroup"})
    return runtime


def limit(usual, size):
    usual.config["linux"]["resources"]["memory"] = {"limit": size}


def not_runc(usual):
    if usual.name == "runc":
        pytest.skip("its init is a Go program: 2.7 MB on v1, 12 on v2; it refuses less than 2 MB")


def test_starts_under_a_small_limit(usual):
    not_runc(usual)
    limit(usual, LEAST)
    done = usual.run("true")
    assert (done.returncode, done.stderr) == (0, "")


def test_charges_little_to_its_container(usual):
    """On v2 it is cloned into its cgroup: that is quick, and all it touches from then on counts."""
    not_runc(usual)
    limit(usual, 64 << 20)
    container = usual.create("sleep", "60")
    assert _peak(container) <= (2048 if V2 else 1024) * KIB


def test_what_the_image_chooses_is_the_container_s(usual):
    (usual.rootfs / "tmp/large").write_bytes(bytes(16 << 20))
    usual.config["mounts"].append(
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}
    )
    limit(usual, 64 << 20)
    container = usual.create("sleep", "60")
    assert _peak(container) >= 16 << 20


def test_all_its_cgroups_are_joined_once_it_is_created(usual):
    limit(usual, LEAST if usual.name != "runc" else 64 << 20)
    container = usual.create("sleep", "60")
    with open(f"/proc/{(usual.bundle / 'pid').read_text()}/cgroup") as file:
        paths = {line.strip().rsplit(":", 1)[1] for line in file}
    assert f"/{container}" in paths
    assert all(path.endswith(container) for path in paths - {"/"})


def test_it_sees_its_own_cgroup(usual):
    limit(usual, LEAST if usual.name != "runc" else 64 << 20)
    done = usual.run("sh", "-c", "cat /proc/self/cgroup; ls /sys/fs/cgroup /sys/fs/cgroup/memory")
    own = {"type": "cgroup"} in usual.config["linux"]["namespaces"]
    name = f"/smp-{usual.name}-{os.getpid()}-run"
    paths = {line.rsplit(":", 1)[1] for line in done.stdout.splitlines() if line.count(":") >= 2}
    assert own or all(path.endswith(name) for path in paths - {"/"})
    assert not own or paths == {"/"}
    assert "cgroup.procs" in done.stdout


def _peak(container):
    for path in (f"memory/{container}/memory.max_usage_in_bytes", f"{container}/memory.peak"):
        if os.path.exists(f"/sys/fs/cgroup/{path}"):
            with open(f"/sys/fs/cgroup/{path}") as file:
                return int(file.read())
    return pytest.skip("this host cannot: memory cgroups that keep their peak")
