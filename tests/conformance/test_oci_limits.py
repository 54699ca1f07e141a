"""`update` and `events` of an OCI runtime from outside; runc passes the same tests."""

import json
import os

import pytest

from .test_oci_runtime import runtime  # noqa: F401


def _file(runtime, container, controller, v1, v2):  # noqa: F811
    made = f"smp-{runtime.name}-{os.getpid()}-c"
    assert made == container
    for path in (f"{controller}/{made}/{v1}", f"{made}/{v2}"):
        if os.path.exists(f"/sys/fs/cgroup/{path}"):
            with open(f"/sys/fs/cgroup/{path}") as file:
                return file.read().strip()
    return pytest.skip(f"this host cannot: {controller} cgroups")


@pytest.fixture
def container(runtime):  # noqa: F811
    made = runtime.create("sleep", "60")
    runtime("start", made)
    return made


def test_flags_and_documents_change_limits(runtime, container):  # noqa: F811
    runtime("update", "--memory", "50M", "--pids-limit", "12", container)
    limit = ("memory", "memory.limit_in_bytes", "memory.max")
    assert _file(runtime, container, *limit) == str(50 << 20)
    assert _file(runtime, container, "pids", "pids.max", "pids.max") == "12"
    (runtime.bundle / "r.json").write_text(json.dumps({"memory": {"limit": 64 << 20}}))
    runtime("update", "-r", str(runtime.bundle / "r.json"), container)
    assert _file(runtime, container, *limit) == str(64 << 20)
    assert _file(runtime, container, "pids", "pids.max", "pids.max") in ("12", "max")


def test_a_wrong_limit_is_named(runtime, container):  # noqa: F811
    done = runtime("update", "--memory", "lots", container, fails=True)
    assert done.returncode == 1
    assert "invalid value for memory" in done.stderr


def test_stats_once(runtime, container):  # noqa: F811
    event = json.loads(runtime("events", "--stats", container).stdout)
    assert (event["type"], event["id"]) == ("stats", container)
    assert event["data"]["pids"]["current"] >= 1
    assert event["data"]["cpu"]["usage"]["total"] > 0
    assert event["data"]["memory"]["usage"]["usage"] > 0


def test_intervals_are_durations(runtime, container):  # noqa: F811
    assert runtime("events", "--interval", "0s", container, fails=True).returncode == 1
    assert runtime("events", "--interval", "soon", container, fails=True).returncode == 1


def test_no_processes_at_all_means_the_one_there_must_be(runtime):  # noqa: F811
    if runtime.name == "runc":
        pytest.skip("Debian's runc takes 0 for no limit, as all did before runtime-spec 1.2.1")
    runtime.config["linux"]["resources"]["pids"] = {"limit": 0}
    container = runtime.create("sleep", "60")
    runtime("start", container)
    assert _file(runtime, container, "pids", "pids.max", "pids.max") == "1"
    (runtime.bundle / "r.json").write_text(json.dumps({"pids": {"limit": -1}}))
    runtime("update", "-r", str(runtime.bundle / "r.json"), container)
    assert _file(runtime, container, "pids", "pids.max", "pids.max") == "max"
    (runtime.bundle / "r.json").write_text(json.dumps({"pids": {"limit": 0}}))  # Docker: not set
    runtime("update", "-r", str(runtime.bundle / "r.json"), container)
    assert _file(runtime, container, "pids", "pids.max", "pids.max") == "max"


def test_unified_limits_without_their_v2_controller_are_refused(runtime):  # noqa: F811
    if not os.path.isdir("/sys/fs/cgroup/memory"):
        pytest.skip("this host cannot: memory in cgroup v1")
    runtime.config["linux"]["resources"]["unified"] = {"memory.min": "131072"}
    done = runtime.run("true")
    assert done.returncode == 1 and "invalid configuration" in done.stderr
    assert not os.path.exists(f"/sys/fs/cgroup/memory/smp-{runtime.name}-{os.getpid()}-run")


@pytest.mark.parametrize(
    ("entry", "said"),
    [({"limit": 0}, "pageSize"), ({"pageSize": "3MB", "limit": 0}, "3MB"), ({}, "pageSize")],
)
def test_wrong_huge_page_limits_are_sentences(runtime, entry, said):  # noqa: F811
    if runtime.name == "runc":
        pytest.skip("runc ignores some of these")
    runtime.config["linux"]["resources"]["hugepageLimits"] = [entry]
    done = runtime.run("true")
    assert done.returncode == 1 and said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def _second(runtime, container):  # noqa: F811
    """A container that shares the cgroup of the first."""
    runtime.config["linux"]["cgroupsPath"] = f"/{container}"
    runtime.write()
    second = f"{container}-second"
    runtime.made.add(second)
    return runtime("run", second, fails=True)


def test_a_cgroup_in_use_is_refused_and_stays(runtime, container):  # noqa: F811
    if runtime.name == "runc":
        pytest.skip("Debian's runc only warns")
    done = _second(runtime, container)
    assert done.returncode == 1 and "container's cgroup is not empty" in done.stderr
    assert runtime.status(container) == "running"
    assert json.loads(runtime("ps", "--format", "json", container).stdout)


def test_a_frozen_cgroup_is_refused_and_stays(runtime):  # noqa: F811
    name = f"smp-frozen-{os.getpid()}"
    v1 = f"/sys/fs/cgroup/freezer/{name}"
    place = v1 if os.path.isdir("/sys/fs/cgroup/freezer") else f"/sys/fs/cgroup/{name}"
    file, word = ("freezer.state", "FROZEN") if place == v1 else ("cgroup.freeze", "1")
    os.mkdir(place)
    try:
        with open(f"{place}/{file}", "w") as state:
            state.write(word)
        done = _second(runtime, name)
        assert done.returncode == 1 and "container's cgroup unexpectedly frozen" in done.stderr
    finally:
        os.rmdir(place)


@pytest.mark.parametrize("how", [("kill", "KILL"), ("kill --all", "KILL"), ("delete --force",)])
def test_a_paused_container_is_listed_and_ends(runtime, container, how):  # noqa: F811
    runtime("pause", container)
    assert json.loads(runtime("ps", "--format", "json", container).stdout)
    assert runtime("delete", container, fails=True).returncode == 1
    verb, *signal = how
    runtime(*verb.split(), container, *signal)
    if signal:
        runtime.wait_for(container, "stopped")
        runtime("delete", container)
    assert runtime("state", container, fails=True).returncode == 1
