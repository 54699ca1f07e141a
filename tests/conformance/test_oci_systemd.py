"""An OCI runtime with `--systemd-cgroup`: what systemd and the kernel say (`./do test --vm`).

runc passes the same tests.
"""

import json
import os
import subprocess

import pytest

from tests.conformance.test_oci_runtime import runtime  # noqa: F401
from tests.linux.test_cgroup_systemd import show

pytestmark = pytest.mark.needs("systemd")
SLICE = f"smpoci{os.getpid()}.slice"


class Unit:
    """A container's scope."""

    def __init__(self, runtime):  # noqa: F811
        self.runtime = runtime
        runtime.command.append("--systemd-cgroup")

    def create(self, *args, resources=None):
        self.runtime.config["linux"]["resources"].update(resources or {})
        unit, self.container = self, f"smp-{self.runtime.name}-{os.getpid()}-c"
        self.name = f"oci-{self.container}.scope"

        def names(_):  # as Runtime.id, with a unit's name for a path
            unit.runtime.config["linux"]["cgroupsPath"] = f"{SLICE}:oci:{unit.container}"
            unit.runtime.made.add(unit.container)
            return unit.container

        self.runtime.id = names
        self.runtime.create(*args)
        self.runtime("start", self.container)

    def shows(self, name):
        return show(self.name, name)

    def file(self, name):
        with open(f"/sys/fs/cgroup/{SLICE}/{self.name}/{name}") as file:
            return file.read().strip()


@pytest.fixture
def unit(runtime):  # noqa: F811
    yield Unit(runtime)
    for container in runtime.made:
        runtime("delete", "--force", container, fails=True)
    subprocess.run(["systemctl", "stop", SLICE], capture_output=True)


LIMITS = {
    "memory": {"limit": 64 << 20, "reservation": 32 << 20},
    "pids": {"limit": 33},
    "cpu": {"shares": 1024, "quota": 20_000, "period": 100_000, "cpus": "0"},
}


def test_limits_are_the_units_and_the_kernels(unit):
    unit.create("sleep", "100", resources=LIMITS)
    for name, value in (
        ("ActiveState", "active"),
        ("Slice", SLICE),
        ("Delegate", "yes"),
        ("MemoryMax", str(64 << 20)),
        ("TasksMax", "33"),
        ("CPUQuotaPerSecUSec", "200ms"),
        ("AllowedCPUs", "0"),
    ):
        assert unit.shows(name) == value, name
    assert unit.file("memory.max") == str(64 << 20)
    assert unit.file("pids.max") == "33"
    assert unit.file("cpu.max") == "20000 100000"
    pid = (unit.runtime.bundle / "pid").read_text()
    assert pid in unit.file("cgroup.procs").split()


def test_update_tells_systemd(unit):
    unit.create("sleep", "100", resources=LIMITS)
    unit.runtime("update", "--memory", "48M", "--pids-limit", "12", unit.container)
    assert (unit.shows("MemoryMax"), unit.shows("TasksMax")) == (str(48 << 20), "12")
    assert (unit.file("memory.max"), unit.file("pids.max")) == (str(48 << 20), "12")


def test_limits_and_device_rules_outlive_a_reload(unit):
    unified = {"pids.max": "44", "memory.high": str(40 << 20)}
    unit.create("sleep", "100", resources={"unified": unified})
    look = "echo >/dev/null && head -c1 /dev/zero | wc -c; mknod /tmp/kmsg c 1 11; cat </tmp/kmsg"
    for _ in ("before", "after"):
        assert (unit.shows("TasksMax"), unit.file("pids.max")) == ("44", "44")
        assert unit.file("memory.high") == str(40 << 20)
        done = unit.runtime(
            *("exec", "--cap", "CAP_MKNOD", unit.container, "/bin/busybox", "sh", "-c", look),
            fails=True,
        )
        assert done.stdout == "1\n"
        assert "peration not permitted" in done.stderr
        subprocess.run(["systemctl", "daemon-reload"], check=True)


def test_delete_removes_the_unit(unit):
    unit.create("sleep", "100")
    assert unit.shows("ActiveState") == "active"
    unit.runtime("kill", unit.container, "KILL")
    unit.runtime.wait_for(unit.container, "stopped")
    unit.runtime("delete", unit.container)
    assert unit.shows("LoadState") == "not-found"
    assert not os.path.exists(f"/sys/fs/cgroup/{SLICE}/{unit.name}")


def test_pause_exec_and_stats(unit):
    unit.create("sleep", "100")
    done = unit.runtime("exec", unit.container, "cat", "/proc/self/cgroup")
    assert unit.name in done.stdout
    unit.runtime("pause", unit.container)
    assert unit.file("cgroup.events").split()[-2:] == ["frozen", "1"]
    unit.runtime("resume", unit.container)
    event = json.loads(unit.runtime("events", "--stats", unit.container).stdout)
    assert event["data"]["pids"]["current"] >= 1


def test_what_systemd_refuses_leaves_nothing(unit):
    unit.runtime.config["annotations"] = {"org.systemd.property.NoSuchThing": "true"}
    with pytest.raises(AssertionError, match="NoSuchThing"):
        unit.create("sleep", "100")
    assert unit.shows("LoadState") == "not-found"
