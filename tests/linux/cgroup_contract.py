"""What every cgroup manager promises. Subclass it, provide `place`, inherit the tests.

`place(body)` runs `body()` where the host looks the way the subclass is about. Where a controller
is missing, the promise is the sentence that names it.
"""

import contextlib
import os
import select
import signal

import pytest

from sampan.linux import cgroup
from sampan.linux.cgroup import base
from sampan.linux.cgroup.errors import CgroupBusy, ControllerMissing, InvalidLimit

PARENT = f"/sampan-test-{os.getpid()}"

_alive: list["Child"] = []


class Child:
    """A process that waits in a cgroup, then runs `body` and exits with what it returns."""

    def __init__(self, body=lambda: 0):
        self.go_read, self.go = os.pipe()
        self.pid = os.fork()
        _alive.append(self)
        if self.pid == 0:
            code = 99
            try:
                os.close(self.go)
                os.read(self.go_read, 1)
                code = body()
            finally:
                os._exit(code)
        os.close(self.go_read)

    def run(self) -> int:
        """Let it run; returns the exit code, negative for a signal."""
        os.write(self.go, b"x")
        return self.wait()

    def wait(self) -> int:
        os.close(self.go)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        _alive.remove(self)
        return code


@contextlib.contextmanager
def group(name="one"):
    """A cgroup that leaves nothing behind, whatever the body did."""
    made = cgroup.manager(f"{PARENT}/{name}")
    made.create()
    try:
        yield made
    finally:
        made.kill()
        for child in _alive[:]:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        cgroup.manager(PARENT).delete()


def has(made, controller):
    """As the kernel says it, not as the code under test does."""
    if controller in made.paths():
        return True
    with open("/proc/self/mountinfo") as mounts:
        unified = [line.split()[4] for line in mounts if " - cgroup2 " in line]
    try:
        with open(f"{unified[-1]}/cgroup.controllers") as controllers:
            return controller in controllers.read().split()
    except (IndexError, FileNotFoundError):
        return False


def opens(*paths):
    """Exit code: one bit for each path that could be opened."""

    def body():
        code = 0
        for bit, path in enumerate(paths):
            try:
                os.close(os.open(path, os.O_RDWR))
                code |= 1 << bit
            except PermissionError:
                pass
        return code

    return body


class CgroupContract:
    @pytest.fixture
    def place(self):
        raise NotImplementedError

    def test_created_and_deleted(self, place):
        def body():
            with group("a/b") as made:
                made.create()
                assert all(os.path.isdir(path) for path in made.paths().values())
            assert not any(os.path.exists(path) for path in made.paths().values())
            made.delete()

        place(body)

    def test_deletes_the_cgroups_that_others_made_inside(self, place):
        def body():
            with group() as made:
                for path in set(made.paths().values()):
                    os.makedirs(f"{path}/inner/deeper")
                made.delete()
                assert not any(os.path.exists(path) for path in made.paths().values())

        place(body)

    def test_a_process_is_where_it_was_put(self, place):
        def body():
            with group() as made:
                child = Child()
                made.add(child.pid)
                assert made.pids() == [child.pid]
                assert cgroup.of_process(child.pid).paths() == made.paths()
                assert child.run() == 0
                assert made.pids() == []

        place(body)

    def test_pids_are_those_of_the_whole_subtree(self, place):
        def body():
            with group() as made:
                outside, inside = Child(), Child()
                made.add(outside.pid)  # first: v2 has nobody beside handed-down controllers
                inner = cgroup.manager(f"{PARENT}/one/inner")
                inner.create()
                inner.add(inside.pid)
                assert sorted(made.pids()) == sorted([outside.pid, inside.pid])
                assert inner.pids() == [inside.pid]

        place(body)

    @pytest.mark.parametrize("frozen", [False, True])
    def test_kill_ends_everybody(self, place, frozen):
        def body():
            with group() as made:
                children = [Child() for _ in range(3)]
                for child in children:
                    made.add(child.pid)
                if frozen:
                    made.freeze()
                made.kill()
                assert [child.wait() for child in children] == [-signal.SIGKILL] * 3
                made.delete()

        place(body)

    def test_kill_with_another_signal(self, place):
        def body():
            with group() as made:
                child = Child()
                made.add(child.pid)
                made.kill(signal.SIGTERM)
                assert child.wait() == -signal.SIGTERM
                assert not made.is_frozen()

        place(body)

    def test_frozen_processes_stop_and_go_on(self, place):
        def body():
            with group() as made:
                answer_read, answer = os.pipe()
                child = Child(lambda: os.write(answer, b"!") - 1)
                made.add(child.pid)
                made.freeze()
                assert made.is_frozen()
                os.write(child.go, b"x")
                assert select.select([answer_read], [], [], 0.05)[0] == []
                made.thaw()
                assert not made.is_frozen()
                assert os.read(answer_read, 1) == b"!"
                assert child.wait() == 0

        place(body)

    def test_delete_names_who_is_still_inside(self, place, monkeypatch):
        monkeypatch.setattr(base, "_PATIENCE", 0.02)

        def body():
            with group() as made:
                child = Child()
                made.add(child.pid)
                with pytest.raises(CgroupBusy, match=str(child.pid)):
                    made.delete()
                made.create()

        place(body)

    def test_devices_are_denied_and_allowed_in_order(self, place):
        rules = [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
            {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "r"},
            {"allow": True, "type": "c", "major": 1, "minor": 7, "access": "r"},
            {"allow": True, "type": "c", "major": 1, "minor": 7, "access": "w"},
        ]

        def body():
            with group() as made:
                made.apply({"devices": rules})
                child = Child(opens("/dev/null", "/dev/zero", "/dev/full", "/dev/urandom"))
                made.add(child.pid)
                assert child.run() == 0b0101

        place(body)

    def test_device_rules_can_be_changed_back(self, place):
        def body():
            with group() as made:
                for rules, expected in (
                    ([{"allow": False}], 0b00),
                    ([{"allow": True}], 0b11),
                    ([{"allow": True}, {"type": "c", "major": 1, "minor": 5}], 0b01),
                    ([{"allow": False}, {"allow": True, "type": "c", "major": 1}], 0b11),
                    ([{"allow": False}, {"allow": True, "type": "c", "minor": 5}], 0b10),
                ):
                    made.apply({"devices": rules})
                    child = Child(opens("/dev/null", "/dev/zero"))
                    made.add(child.pid)
                    assert child.run() == expected, rules

        place(body)

    def test_device_rules_may_be_repeated_while_there_are_cgroups_inside(self, place):
        rules = [{"allow": False}, {"allow": True, "type": "c", "major": 1, "minor": 3}]

        def body():
            with group() as made:
                made.apply({"devices": rules})
                cgroup.manager(f"{PARENT}/one/inner").create()
                made.apply({"devices": rules})

        place(body)

    def test_processor_time_is_counted(self, place):
        def body():
            with group() as made:
                child = Child(lambda: sum(range(1_000_000)) * 0)
                made.add(child.pid)
                assert child.run() == 0
                cpu = made.stats().cpu
                assert 1_000_000 < cpu.total < 10_000_000_000

        place(body)

    def test_a_process_limit(self, place):
        def two_forks():
            for _ in range(2):
                try:
                    if os.fork() == 0:
                        signal.pause()
                except BlockingIOError:
                    return 7
            return 0

        def body():
            with group() as made:
                if not has(made, "pids"):
                    with pytest.raises(ControllerMissing, match="pids cgroup controller"):
                        made.apply({"pids": {"limit": 2}})
                    return
                made.apply({"pids": {"limit": 2}})
                assert made.stats().pids.limit == 2
                child = Child(two_forks)
                made.add(child.pid)
                assert child.run() == 7
                assert made.stats().pids.current == 1
                made.apply({"pids": {"limit": -1}})
                assert made.stats().pids.limit is None

        place(body)

    def test_memory_limits_grow_and_shrink(self, place):
        def body():
            with group() as made:
                if not has(made, "memory"):
                    with pytest.raises(ControllerMissing, match="memory cgroup controller"):
                        made.apply({"memory": {"limit": 64 << 20}})
                    return
                for limit, swap in (
                    (64 << 20, 128 << 20),
                    (256 << 20, 512 << 20),
                    (32 << 20, 32 << 20),
                ):
                    made.apply({"memory": {"limit": limit, "swap": swap}})
                    assert made.stats().memory.limit == limit
                made.apply({"memory": {"limit": -1}})
                assert made.stats().memory.limit is None

        place(body)

    def test_the_out_of_memory_killer_is_noticed(self, place):
        def body():
            with group() as made:
                if not has(made, "memory"):
                    assert made.oom_fd() is None
                    assert made.oom_count() == 0
                    return
                made.apply({"memory": {"limit": 8 << 20, "swap": 8 << 20}})
                made.add(
                    Child().pid
                )  # stays: systemd would take an empty scope away, counter and all
                fd = made.oom_fd()
                child = Child(lambda: len(bytes(64 << 20)) * 0 or len(b"x" * (64 << 20)) * 0)
                made.add(child.pid)
                assert select.select([fd], [], [], 0)[0] == []
                assert child.run() == -signal.SIGKILL
                assert select.select([fd], [], [], 5)[0] == [fd]
                os.close(fd)
                assert made.oom_count() == 1

        place(body)

    def test_huge_pages(self, place):
        def body():
            with group() as made:
                limits = [{"pageSize": "2MB", "limit": 4 << 20}]
                if not has(made, "hugetlb"):
                    with pytest.raises(ControllerMissing, match="hugetlb"):
                        made.apply({"hugepageLimits": limits})
                    return
                made.apply({"hugepageLimits": limits})
                assert made.stats().hugetlb["2MB"].usage == 0
                paths = made.paths()
                directory = paths.get("hugetlb") or paths[""]
                for file in ("max", "rsvd.max", "limit_in_bytes", "rsvd.limit_in_bytes"):
                    path = f"{directory}/hugetlb.2MB.{file}"
                    if os.path.exists(path):  # of what is reserved, too, where the kernel can
                        with open(path) as limit:
                            assert limit.read().strip() == str(4 << 20)
                with pytest.raises(ControllerMissing, match=r"hugetlb\.3MB"):
                    made.apply({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]})

        place(body)

    def test_values_that_can_never_be_right(self, place):
        def body():
            with group() as made:
                with pytest.raises(InvalidLimit, match="needs a memory limit"):
                    made.apply({"memory": {"swap": 1 << 30}})
                with pytest.raises(InvalidLimit, match="below the memory limit"):
                    made.apply({"memory": {"limit": 2 << 20, "swap": 1 << 20}})

        place(body)

    def test_a_path_may_not_climb(self, place):
        with pytest.raises(InvalidLimit):
            cgroup.manager("/a/../../b")
