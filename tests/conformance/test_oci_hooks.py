"""Hooks of an OCI runtime, from outside; runc passes the same tests."""

import json
import os

import pytest

from tests.conformance.test_oci_runtime import runtime

assert runtime  # the fixture
BEFORE = ("prestart", "createRuntime", "createContainer")
ALL = (*BEFORE, "startContainer", "poststart", "poststop")


def hook(script, **more):
    return {"path": "/bin/sh", "args": ["sh", "-c", script], **more}


def test_order_and_state(runtime):
    log = runtime.bundle / "log-of-hooks"
    runtime.config["hooks"] = {
        kind: [hook(f"cat >>{log}; echo >>{log}")] for kind in ALL if kind != "startContainer"
    }
    (runtime.rootfs / "log").touch()
    runtime.config["hooks"]["startContainer"] = [hook("cat >/log")]
    assert runtime.run("true").returncode == 0
    states = [json.loads(line) for line in log.read_text().splitlines() if line]
    assert [state["status"] for state in states][:3] == ["creating"] * 3
    assert states[-1]["status"] == "stopped"
    assert {state["bundle"] for state in states} == {str(runtime.bundle)}
    assert {state["id"] for state in states} == {next(iter(runtime.made))}
    assert states[0]["pid"] == states[1]["pid"] > 1
    inside = json.loads((runtime.rootfs / "log").read_text())
    assert (inside["status"], inside["pid"]) == ("created", 1)


def test_where_they_run(runtime):
    seen = runtime.bundle / "seen"
    seen.mkdir()
    runtime.config["hooks"] = {
        kind: [hook(f"readlink /proc/self/ns/mnt >{seen}/{kind}")]
        for kind in ALL
        if kind != "startContainer"
    }
    (runtime.rootfs / "only-here").touch()
    runtime.config["hooks"]["startContainer"] = [hook("test -e /only-here")]
    done = runtime.run("true")
    assert done.returncode == 0, done.stderr
    own = os.readlink("/proc/self/ns/mnt")
    for kind in ("prestart", "createRuntime", "poststart", "poststop"):
        assert (seen / kind).read_text().strip() == own
    assert (seen / "createContainer").read_text().strip() != own


@pytest.mark.parametrize("kind", ALL[:-1])
def test_one_that_fails(runtime, kind):
    runtime.config["hooks"] = {
        kind: [hook("true"), hook("echo because >&2; exit 3"), hook("echo third")]
    }
    done = runtime.run("sleep", "0.1")
    assert done.returncode == 1
    name = "" if runtime.name == "runc" else f"{kind} "  # runc has the name from 1.2 on
    assert f"error running {name}hook #1" in done.stderr
    assert "because" in done.stderr
    assert "third" not in done.stderr
    container = next(iter(runtime.made))
    assert "does not exist" in runtime("state", container, fails=True).stderr


def test_a_failing_poststop_is_only_a_warning(runtime):
    if runtime.name == "runc":
        pytest.skip("it leaves out the hooks that follow")
    mark = runtime.bundle / "mark"
    runtime.config["hooks"] = {"poststop": [hook("exit 3"), hook(f"touch {mark}")]}
    assert runtime.run("true").returncode == 0
    assert mark.exists()


def test_a_time_out(runtime):
    runtime.config["hooks"] = {"createRuntime": [hook("exec sleep 60", timeout=1)]}
    assert runtime.run("true").returncode == 1


def test_environment(runtime):
    runtime.config["process"]["env"] = ["PATH=/bin", "OF=container"]
    runtime.config["hooks"] = {
        "createRuntime": [hook('test "$OWN $OF" = "yes "', env=["OWN=yes"])],
        "startContainer": [hook('test "$OF" = container')],
    }
    done = runtime.run("true")
    assert done.returncode == 0, done.stderr


def test_a_relative_path_is_refused(runtime):
    if runtime.name == "runc":
        pytest.skip("it takes it for a path below its own directory")
    runtime.config["hooks"] = {"poststop": [{"path": "bin/true"}]}
    done = runtime.run("true")
    assert done.returncode == 1
    assert "hooks.poststop[0]" in done.stderr


def test_start_container_hooks_run_under_the_filter(runtime):
    runtime.config["process"].update(noNewPrivileges=True)
    runtime.config["linux"]["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS"}],
    }
    runtime.config["hooks"] = {"startContainer": [hook("exec hostname other")]}
    done = runtime.run("true")
    assert done.returncode == 1
    assert "bad system call" in done.stderr
    assert "startContainer hook #0" in done.stderr or runtime.name == "runc"
