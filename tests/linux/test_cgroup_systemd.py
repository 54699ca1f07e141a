"""The contract on systemd's units (`./do test --vm --systemd`), and what systemd shows of them."""

import contextlib
import os
import subprocess

import pytest

from sampan.linux import cgroup
from sampan.linux.cgroup import systemd

from .cgroup_contract import PARENT, CgroupContract, Child

pytestmark = pytest.mark.needs("systemd")
SLICE = f"smptest{os.getpid()}.slice"


def show(unit, name):
    command = ["systemctl", "show", "--property", name, "--value", unit]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class TestSystemd(CgroupContract):
    # They go on after the last process has ended; a scope is gone with it.
    test_device_rules_can_be_changed_back = None
    test_processor_time_is_counted = None

    @pytest.fixture
    def place(self, monkeypatch):
        """The contract's cgroups directly below PARENT are scopes; others are plain ones."""
        plain = cgroup.manager

        def manager(path):
            if not path.startswith(PARENT):
                return plain(path)
            inner = path.removeprefix(PARENT).strip("/").split("/")
            if len(inner) == 1 and inner[0]:
                return plain(f"{SLICE}:smp:{inner[0]}")
            if len(inner) > 1 and inner[0] == "one":
                inner[0] = "smp-one.scope"
            return plain("/".join([f"/{SLICE}", *inner]))

        monkeypatch.setattr(cgroup, "manager", manager)
        yield lambda body: body()
        subprocess.run(["systemctl", "stop", SLICE], capture_output=True)


@contextlib.contextmanager
def unit(properties=None):
    made = systemd.manager(f"{SLICE}:smp:web", properties)
    made.create()
    child = Child()
    try:
        made.add(child.pid)
        yield made
    finally:
        made.kill()
        child.wait()
        made.delete()
        subprocess.run(["systemctl", "stop", SLICE], capture_output=True)


def test_systemd_knows_the_limits_and_the_properties():
    with unit({"CollectMode": ("s", "inactive-or-failed")}) as made:
        made.apply({"memory": {"limit": 64 << 20}, "pids": {"limit": 33}, "cpu": {"shares": 1024}})
        assert show("smp-web.scope", "MemoryMax") == str(64 << 20)
        assert show("smp-web.scope", "TasksMax") == "33"
        assert show("smp-web.scope", "CPUWeight") == "100"
        assert show("smp-web.scope", "CollectMode") == "inactive-or-failed"
        assert show("smp-web.scope", "Delegate") == "yes"
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        with open(f"{made.paths()['']}/pids.max") as file:
            assert file.read() == "33\n"
    assert show("smp-web.scope", "ActiveState") == "inactive"
    assert not os.path.exists(made.paths()[""])


def test_the_placeholder_is_not_seen():
    made = systemd.manager(f"{SLICE}:smp:empty")
    made.create()
    try:
        assert made.pids() == []
        assert show("smp-empty.scope", "ActiveState") == "active"
    finally:
        made.delete()
    assert show("smp-empty.scope", "ActiveState") == "inactive"


def test_a_property_that_systemd_does_not_know_is_its_sentence():
    with pytest.raises(Exception, match="NoSuchThing"):
        systemd.manager(f"{SLICE}:smp:bad", {"NoSuchThing": ("b", True)}).create()
