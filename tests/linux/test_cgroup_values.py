"""Values of the two dialects, without a kernel."""

import os

import pytest

from sampan.linux.cgroup import blkio, cpu, device_rules, devices, host, memory, rdma
from sampan.linux.cgroup.errors import ControllerMissing, InvalidLimit
from sampan.linux.cgroup.stats import IoEntry

NULL = {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}


@pytest.mark.parametrize(
    ("shares", "weight"),
    [(1, 1), (2, 1), (1024, 100), (262144, 10000), (1 << 20, 10000), (512, 59), (2048, 174)],
)
def test_cpu_weight(shares, weight):
    assert cpu.weight(shares) == weight


@pytest.mark.parametrize(
    ("section", "writes"),
    [
        ({"quota": 50000, "period": 100000}, [("cpu.max", "50000 100000")]),
        ({"quota": -1}, [("cpu.max", "max 100000")]),
        ({"period": 20000}, [("cpu.max", "max 20000")]),
        ({"shares": 1024}, [("cpu.weight", "100")]),
        ({"idle": 1, "shares": 1024}, [("cpu.idle", "1")]),
        ({"quota": 2, "burst": 1}, [("cpu.max", "2 100000"), ("cpu.max.burst", "1")]),
        ({"quota": 2, "burst": 0}, [("cpu.max.burst", "0"), ("cpu.max", "2 100000")]),
    ],
)
def test_cpu_on_v2(section, writes):
    assert cpu.writes_v2(section) == writes


def test_realtime_is_v1_only():
    with pytest.raises(InvalidLimit):
        cpu.writes_v2({"realtimeRuntime": 1})


@pytest.mark.parametrize(
    ("section", "writes"),
    [
        ({"limit": 100, "swap": 150}, [("memory.swap.max", "50"), ("memory.max", "100")]),
        ({"limit": 100, "swap": 100}, [("memory.swap.max", "0"), ("memory.max", "100")]),
        ({"limit": 100, "swap": -1}, [("memory.swap.max", "max"), ("memory.max", "100")]),
        ({"limit": -1}, [("memory.swap.max", "max"), ("memory.max", "max")]),
        ({"limit": 100}, [("memory.max", "100")]),
        ({"reservation": 7}, [("memory.low", "7")]),
    ],
)
def test_memory_on_v2(section, writes):
    assert memory.writes_v2(section) == writes


def test_v1_only_memory_settings_are_named():
    with pytest.raises(ControllerMissing, match="swappiness 10 exists only on cgroup v1"):
        memory.writes_v2({"swappiness": 10})


def test_block_io_on_v2():
    section = {
        "weight": 500,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 10}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1000}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 5}],
    }
    assert blkio.writes_v2(section, bfq=False) == [
        ("io.weight", "default 4950"),
        ("io.weight", "8:0 1"),
        ("io.max", "8:0 rbps=1000"),
        ("io.max", "8:16 wiops=5"),
    ]
    assert blkio.writes_v2({"weight": 500}, bfq=True) == [("io.bfq.weight", "500")]
    assert (blkio.weight(10), blkio.weight(1000)) == (1, 10000)


def test_io_figures_of_both_dialects_are_the_same():
    v1 = "8:0 Read 4096\n8:0 Write 0\n8:0 Sync 1\n8:0 Total 4096\nTotal 4096\n"
    v2 = "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0\n"
    read = IoEntry(major=8, minor=0, op="Read", value=4096)
    assert blkio.parse_v1(v1)[0] == read == blkio.parse_v2(v2, "bytes")[0]
    assert len(blkio.parse_v1(v1)) == 4


def test_rdma_line():
    assert rdma.line("mlx5_1", {"hcaHandles": 3}) == "mlx5_1 hca_handle=3"


def test_a_rule_is_taken_back():
    state = device_rules.emulate([{"allow": False}, NULL, {**NULL, "allow": False, "access": "w"}])
    assert state.exceptions == {("c", "1", "3"): "rm"}


def test_a_wildcard_takes_back_what_it_covers():
    state = device_rules.emulate([{"allow": False}, NULL, {"type": "c", "major": 1}])
    assert state.exceptions == {}


def test_a_hole_in_a_wildcard_is_refused():
    rules = [{"allow": False}, {"allow": True, "type": "c"}, {**NULL, "allow": False}]
    with pytest.raises(ControllerMissing, match=r"deny c 1:3 rwm would make a hole in .* c \*:\*"):
        device_rules.emulate(rules)


def test_changing_rules_writes_only_the_difference():
    state = device_rules.parse("c 1:3 rwm\nc 1:5 rwm\n")
    wanted = device_rules.emulate([{"allow": False}, NULL, {**NULL, "minor": 7}])
    assert devices.transition(state, wanted) == [
        ("devices.allow", "c 1:7 rwm"),
        ("devices.deny", "c 1:5 rwm"),
    ]


def test_an_unknown_device_type():
    with pytest.raises(InvalidLimit, match="type must be"):
        device_rules.emulate([{"allow": True, "type": "x"}])


def test_mounts_that_cannot_be_seen_are_left_out():
    line = "32 31 0:29 / /no/such/cpu rw - cgroup cgroup rw,cpu\n"
    assert host.parse(line) == host.Layout(v1={}, unified=None)


def test_of_two_mounts_at_one_place_the_upper_counts(tmp_path):
    """In a container's namespaces proc shows the host's mount and the one made over it."""
    number = tmp_path.stat().st_dev
    device = f"{os.major(number)}:{os.minor(number)}"
    lines = [
        f"{line} 1 {device} {root} {tmp_path} rw - cgroup2 none rw"
        for line, root in ((30, "/.."), (31, "/"))
    ]
    expected = host.Hierarchy(mount_point=str(tmp_path), root="/")
    assert host.parse("\n".join(lines)).unified == expected
