"""The contract on each layout this host can show, and what is particular to one of them."""

import contextlib
import os
import signal
import time

import pytest

from sampan.linux import cgroup
from sampan.linux.cgroup import host
from sampan.linux.cgroup.errors import (
    CgroupBusy,
    ControllerMissing,
    InvalidLimit,
    LimitBelowUsage,
    NoCgroups,
)
from sampan.linux.mount import MNT, mount, umount

from .cgroup_contract import PARENT, CgroupContract, Child, group


class V1Tests(CgroupContract):
    def test_cpuset_is_inherited(self, place):
        def body():
            with group("a/b") as made:
                with open(f"{made.paths()['cpuset']}/cpuset.cpus") as file:
                    assert file.read().strip()
                made.apply({"cpu": {"cpus": "0", "mems": "0"}})
                child = Child(lambda: len(os.sched_getaffinity(0)))
                made.add(child.pid)
                assert child.run() == 1

        place(body)

    def test_quota_and_shares(self, place):
        def body():
            with group() as made:
                made.apply({"cpu": {"shares": 512, "quota": 50_000, "period": 200_000}})
                with open(f"{made.paths()['cpu']}/cpu.cfs_period_us") as file:
                    assert file.read() == "200000\n"
                with pytest.raises(InvalidLimit, match=r"cpu.cfs_quota_us"):
                    made.apply({"cpu": {"quota": 1}})

        place(body)

    def test_throttles(self, place):
        def body():
            with group() as made:
                rate = {"major": 254, "minor": 0, "rate": 1 << 20}
                if not os.path.exists("/dev/vda"):
                    rate["major"] = 7
                made.apply({"blockIO": {"throttleReadBpsDevice": [rate]}})

        place(body)

    def test_a_limit_below_the_usage_is_refused_when_asked(self, place):
        def body():
            with group() as made:
                made.apply({"memory": {"limit": 64 << 20}})
                read, write = os.pipe()
                child = Child(lambda: hold(8 << 20, write))
                made.add(child.pid)
                os.write(child.go, b"x")
                os.read(read, 1)
                with pytest.raises(LimitBelowUsage):
                    made.apply({"memory": {"limit": 1 << 20, "checkBeforeUpdate": True}})
                assert made.stats().memory.usage > 8 << 20

        place(body)

    def test_what_is_not_mounted_is_named(self, place):
        def body():
            with group() as made:
                with pytest.raises(ControllerMissing, match="net_cls") as caught:
                    made.apply({"network": {"classID": 1}})
                assert caught.value.controller == "net_cls"

        place(body)


@pytest.mark.needs("cgroup1", "mount")
class TestV1(V1Tests):
    @pytest.fixture
    def place(self, own_mounts):
        def run(body):
            def without_unified():
                unified = host.layout().unified
                if unified is not None:
                    umount(unified.mount_point, MNT.DETACH)
                host.forget()
                assert "" not in cgroup.manager("/x").paths()
                body()

            own_mounts(without_unified)

        return run

    def test_killing_works_without_a_freezer(self, place):
        def body():
            with group() as made:
                paths = made.paths()
                del paths["freezer"]
                other = cgroup.from_paths(paths)
                child = Child()
                other.add(child.pid)
                with pytest.raises(ControllerMissing, match="freezer"):
                    other.freeze()
                other.thaw()
                other.kill()
                assert child.wait() == -signal.SIGKILL

        place(body)

    def test_unified_needs_v2(self, place):
        def body():
            with group() as made, pytest.raises(ControllerMissing, match="cgroup v2"):
                made.apply({"unified": {"memory.high": "1"}})

        place(body)


@pytest.mark.needs("cgroup1")
class TestHybrid(V1Tests):
    @pytest.fixture
    def place(self):
        assert host.layout().unified is not None
        return lambda body: body()

    def test_unified_reaches_the_v2_tree(self, place):
        def body():
            with group() as made:
                made.apply({"unified": {"cgroup.max.depth": "3"}})
                with open(f"{made.paths()['']}/cgroup.max.depth") as file:
                    assert file.read() == "3\n"
                with pytest.raises(ControllerMissing, match="memory"):
                    made.apply({"unified": {"memory.high": "1"}})

        place(body)

    def test_without_a_v1_freezer_the_unified_tree_freezes(self, place):
        def body():
            with group() as made:
                paths = made.paths()
                del paths["freezer"]
                other = cgroup.from_paths(paths)
                child = Child()
                other.add(child.pid)
                other.freeze()
                with open(f"{paths['']}/cgroup.events") as file:
                    assert "frozen 1" in file.read()
                assert other.is_frozen()
                other.thaw()
                assert child.run() == 0

        place(body)

    def test_making_and_removing_is_quick(self, place):
        def body():
            child = Child()
            with group() as made:
                best = 1.0
                for _ in range(5):
                    start = time.perf_counter()
                    other = cgroup.manager(f"{os.path.dirname(_path(made))}/other")
                    other.create()
                    other.add(child.pid)
                    made.add(child.pid)
                    other.delete()
                    best = min(best, time.perf_counter() - start)
                assert best < 0.02
                assert child.run() == 0

        place(body)


@pytest.mark.needs("mount")
class TestV2(CgroupContract):
    @pytest.fixture
    def place(self, own_mounts):
        def run(body):
            def on_v2():
                if not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
                    mount("none", "/sys/fs/cgroup", "cgroup2")
                host.forget()
                assert list(cgroup.manager("/x").paths()) == [""]
                body()

            own_mounts(on_v2)

        return run

    def test_v1_only_limits_are_refused(self, place):
        def body():
            with group() as made, pytest.raises(ControllerMissing, match="net_cls"):
                made.apply({"network": {"classID": 1}})

        place(body)

    def test_a_cgroup_that_hands_controllers_down_takes_no_process(self, place):
        def body():
            with group("one/inner"):
                outer = cgroup.manager(f"{PARENT}/one")
                with pytest.raises(CgroupBusy, match="hands controllers"):
                    outer.add(Child().pid)

        place(body)

    def test_a_cgroup_below_one_with_processes_can_be_entered(self, place):
        def body():
            with group() as outer:
                first, second = Child(), Child()
                outer.add(first.pid)
                inner = cgroup.manager(f"{PARENT}/one/inner")
                inner.create()
                inner.add(second.pid)
                assert inner.pids() == [second.pid]
                with pytest.raises(ControllerMissing, match="not enabled in"):
                    inner.apply({"memory": {"limit": 64 << 20}})
                with open(f"{inner.paths()['']}/cgroup.type") as file:
                    assert file.read() == "domain\n"

        place(body)

    def test_a_cgroup_below_a_threaded_one_is_named(self, place):
        def body():
            with group() as outer:
                for name in ("threads", "other"):
                    os.mkdir(f"{outer.paths()['']}/{name}")
                with open(f"{outer.paths()['']}/threads/cgroup.type", "w") as file:
                    file.write("threaded")
                with pytest.raises(CgroupBusy, match=r"cgroup.type is 'domain invalid'"):
                    cgroup.manager(f"{PARENT}/one/other").add(Child().pid)

        place(body)


@pytest.mark.needs("mount")
def test_no_cgroups_at_all(own_mounts):
    def body():
        mount("none", "/sys/fs/cgroup", "tmpfs")
        host.forget()
        with pytest.raises(NoCgroups, match="no cgroup file system"):
            cgroup.manager("/x")

    own_mounts(body)


def hold(size, ready):
    """Keep memory until killed."""
    data = b"x" * size
    os.write(ready, b"y")
    signal.pause()
    return len(data)


def _path(made):
    directory = made.paths()["freezer"]
    return directory[len(host.layout().v1["freezer"].mount_point) :]


@pytest.mark.parametrize("ask", ["oom_count", "pids", "is_frozen", "stats"])
def test_one_that_goes_while_it_is_read_is_empty(ask, monkeypatch):
    """systemd removes a scope's as soon as its last process has ended."""
    made = cgroup.manager(f"{PARENT}/gone")
    made.create()
    really = os.open

    def then_it_goes(path, *more):
        found = really(path, *more)
        monkeypatch.undo()
        made.delete()
        return found

    monkeypatch.setattr(os, "open", then_it_goes)
    if ask == "stats":
        with contextlib.suppress(FileNotFoundError):
            made.stats()
    else:
        assert not getattr(made, ask)()
    made.kill()
    made.delete()
    cgroup.manager(PARENT).delete()
