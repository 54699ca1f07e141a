"""The systemd driver's names and properties; `test_cgroup_systemd.py` has the driver itself."""

import os

import pytest

from sampan.linux import cgroup
from sampan.linux.cgroup import host, systemd, unit_properties
from sampan.linux.cgroup.errors import InvalidLimit, NoCgroups


@pytest.mark.parametrize(
    ("name", "slice_", "unit"),
    [
        ("machine.slice:libpod:web", "machine.slice", "libpod-web.scope"),
        (":runc:web", "system.slice", "runc-web.scope"),
        ("a-b.slice::web", "a-b.slice", "web.scope"),
        ("a.slice:x:a-b.slice", "a.slice", "a-b.slice"),
    ],
)
def test_names_of_units(name, slice_, unit):
    assert systemd.unit_of(name) == (slice_, unit)


@pytest.mark.parametrize(
    "name", ["a:b", "web:x:y", "a--b.slice:x:y", "a/b.slice:x:y", "a.slice:x:"]
)
def test_names_that_are_none(name):
    with pytest.raises(InvalidLimit, match=r"slice|SLICE"):
        systemd.unit_of(name)


def test_a_dash_is_a_level_of_slices():
    assert systemd.slice_path("-.slice") == ""
    assert systemd.slice_path("a-b-c.slice") == "/a.slice/a-b.slice/a-b-c.slice"


def test_limits_as_properties(monkeypatch):
    resources = {
        "memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": -1},
        "cpu": {"shares": 1024, "quota": 15_000, "period": 100_000, "cpus": "0,9", "mems": "0"},
        "pids": {"limit": 0},
    }
    monkeypatch.setattr(host, "_layout", host.Layout(v1={}, unified=None))
    assert dict(unit_properties.of(resources)) == {
        "MemoryMax": ("t", 64 << 20),
        "MemoryLow": ("t", 2**64 - 1),
        "MemorySwapMax": ("t", 32 << 20),
        "CPUWeight": ("t", 100),
        "CPUQuotaPeriodUSec": ("t", 100_000),
        "CPUQuotaPerSecUSec": ("t", 150_000),
        "AllowedCPUs": ("ay", [1, 2]),
        "AllowedMemoryNodes": ("ay", [1]),
        "TasksMax": ("t", 1),
    }
    monkeypatch.setattr(host, "_layout", host.Layout(v1={"memory": None}, unified=None))
    names = [name for name, _ in unit_properties.of(resources)]
    assert names == [
        *("MemoryLimit", "CPUShares", "CPUQuotaPeriodUSec", "CPUQuotaPerSecUSec", "TasksMax"),
    ]


def test_files_of_the_unified_tree_as_properties(monkeypatch):
    resources = {
        "unified": {
            "memory.max": "1048576",
            "memory.swap.max": "max",
            "memory.oom.group": "1",
            "pids.max": "many",
            "cpu.weight": "20",
            "cpu.max": "15000 100000",
            "cpuset.cpus": "0,9",
            "io.max": "8:0 rbps=1",
        }
    }
    monkeypatch.setattr(host, "_layout", host.Layout(v1={}, unified=None))
    assert unit_properties.of(resources) == [
        ("MemoryMax", ("t", 1 << 20)),
        ("MemorySwapMax", ("t", 2**64 - 1)),
        ("CPUWeight", ("t", 20)),
        ("CPUQuotaPeriodUSec", ("t", 100_000)),
        ("CPUQuotaPerSecUSec", ("t", 150_000)),
        ("AllowedCPUs", ("ay", [1, 2])),
    ]
    monkeypatch.setattr(host, "_layout", host.Layout(v1={"memory": None}, unified=None))
    assert unit_properties.of(resources) == []


def test_annotations_are_properties():
    found = unit_properties.from_annotations(
        {
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
            "org.systemd.property.TimeoutStopSec": "uint64 5",
            "org.systemd.property.RuntimeMaxSec": "1.5",
            "org.systemd.property.SendSIGKILL": "true",
            "org.systemd.property.After": "['a.service', 'b.service']",
            "other": "x",
        }
    )
    assert found == {
        "CollectMode": ("s", "inactive-or-failed"),
        "TimeoutStopUSec": ("t", 5_000_000),
        "RuntimeMaxUSec": ("t", 1_500_000),
        "SendSIGKILL": ("b", True),
        "After": ("as", ["a.service", "b.service"]),
    }
    for bad in ("maybe", "uint64 x", "", "{'a': 1}"):
        with pytest.raises(InvalidLimit, match="CollectMode"):
            unit_properties.from_annotations({"org.systemd.property.CollectMode": bad})
    with pytest.raises(InvalidLimit, match="no name"):
        unit_properties.from_annotations({"org.systemd.property.A/b": "true"})


def test_without_systemd_there_is_one_sentence():
    if os.path.exists("/run/systemd/private"):
        pytest.skip("this host cannot: be without systemd")
    with pytest.raises(NoCgroups, match="needs systemd: no manager listens at /run/systemd"):
        cgroup.manager("system.slice:sampan:x").create()
