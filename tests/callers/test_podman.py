"""podman with `--runtime`: by way of conmon, which leaks descriptors and calls us without PATH."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import RUNTIME, Caller, program

pytestmark = pytest.mark.needs("mount", "netns")


@pytest.fixture(scope="module")
def podman(place: Path) -> Iterator[Caller]:
    client = Caller(
        *(program("podman"), "--root", f"{place}/podman", "--runroot", f"{place}/podman-run"),
        *("--tmpdir", f"{place}/podman-tmp", "--runtime", str(RUNTIME)),
        *("--cgroup-manager", "cgroupfs", "--storage-driver", "vfs", "--events-backend", "file"),
        rootfs=place / "rootfs",
    )
    client("import", "-q", str(place / "busybox.tar"), "box")
    yield client
    client("rm", "-f", "-a", "-t", "0")


# podman asks for more than this host's own limits, and has no way to ask for none
ULIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")
RUN = ("run", "--network", "none", *ULIMITS)


def test_exit_codes(podman):
    podman(*RUN, "--rm", "box", "true")
    podman(*RUN, "--rm", "box", "sh", "-c", "exit 7", code=7)
    podman(*RUN, "--rm", "box", "nope", code=127)
    podman(*RUN, "--rm", "box", "/etc/passwd", code=126)


def test_streams_and_terminal(podman):
    assert podman(*RUN, "--rm", "-i", "box", "cat", stdin="hello") == "hello"
    assert "/dev/pts/0" in podman(*RUN, "--rm", "-t", "box", "tty")
    assert podman(*RUN, "--rm", "box", "ls", "/proc/self/fd").split() == ["0", "1", "2", "3"]


def test_exec_logs_stop(podman):
    script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done"
    name = podman(*RUN, "-d", "box", "sh", "-c", script).strip()
    assert podman("exec", "-w", "/tmp", name, "pwd") == "/tmp\n"
    assert podman("exec", "-i", name, "cat", stdin="in") == "in"
    assert "/dev/pts/" in podman("exec", "-t", name, "tty")
    podman("exec", name, "sh", "-c", "exit 9", code=9)
    podman("exec", name, "nope", code=127)
    assert "sleep" in podman("top", name)
    podman("stop", "-t", "10", name)
    assert podman("inspect", "-f", "{{.State.ExitCode}}", name).strip() == "5"
    assert podman("logs", name) == "up\nbye\n"
    podman("start", name)
    podman("kill", "-s", "KILL", name)
    assert podman("wait", name).strip() == "137"
    podman("rm", name)


def test_limits_and_pause(podman):
    name = podman(*RUN, "-d", "-m", "64m", "--pids-limit", "40", "box", "sleep", "100").strip()
    document = json.loads(podman("inspect", name))[0]
    assert document["OCIRuntime"] == str(RUNTIME)
    assert document["HostConfig"]["Memory"] == 64 << 20
    podman("pause", name)
    assert podman("inspect", "-f", "{{.State.Status}}", name).strip() == "paused"
    podman("unpause", name)
    podman("rm", "-f", "-t", "0", name)


def test_volumes_and_users(podman, place):
    (place / "podman-share").mkdir()
    share = f"{place}/podman-share:/s"
    podman(*RUN, "--rm", "-v", share, "box", "touch", "/s/here")
    assert (place / "podman-share/here").exists()
    podman(*RUN, "--rm", "-v", f"{share}:ro", "box", "touch", "/s/there", code=1)
    assert podman(*RUN, "--rm", "-u", "33", "box", "id", "-u").strip() == "33"
    podman(*RUN, "--rm", "--read-only", "--tmpfs", "/t", "box", "touch", "/t/a")


def test_a_pod_shares_its_namespaces(podman):
    first = podman(*RUN, "-d", "--ipc", "shareable", "box", "sleep", "100").strip()
    joined = ("--network", f"container:{first}", "--pid", f"container:{first}")
    assert "sleep 100" in podman("run", "--rm", *ULIMITS, *joined, "box", "ps")
    podman("rm", "-f", "-t", "0", first)


def test_health(podman):
    name = podman(*RUN, "-d", "--health-cmd", "test -e /ok", "box", "sleep", "100").strip()
    podman("healthcheck", "run", name, code=1)
    podman("exec", name, "touch", "/ok")
    podman("healthcheck", "run", name)
    podman("rm", "-f", "-t", "0", name)
