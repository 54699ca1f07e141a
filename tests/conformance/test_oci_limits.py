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
