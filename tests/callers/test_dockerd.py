"""dockerd with `--add-runtime`: what people do with Docker, through `sampan-oci`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import RUNTIME, Caller, daemon, eventually, program

pytestmark = pytest.mark.needs("mount", "netns")
NETWORK = "198.51.100.192/28"


@pytest.fixture(scope="module")
def docker(place: Path) -> Iterator[Caller]:
    socket = place / "docker.sock"
    client = Caller(program("docker"), "-H", f"unix://{socket}", rootfs=place / "rootfs")
    options = {
        "--data-root": place / "docker",
        "--exec-root": place / "docker-run",
        "--pidfile": place / "docker.pid",
        "--host": f"unix://{socket}",
        "--add-runtime": f"sampan={RUNTIME}",
        "--default-runtime": "sampan",
        "--bridge": "none",
        "--storage-driver": "vfs",
    }
    words = [f"{name}={value}" for name, value in options.items()]
    with daemon(place, program("dockerd"), *words, "--iptables=false", "--ip6tables=false") as it:
        eventually(lambda: it.poll() is not None or socket.exists(), "dockerd's socket")
        log = (place / "dockerd.log").read_text()
        eventually(lambda: _answers(client), f"dockerd: {log[-2000:]}")
        client("import", str(place / "busybox.tar"), "box")
        try:
            yield client
        finally:
            if names := client("ps", "-aq").split():
                client("rm", "-f", "-v", *names)


def _answers(client: Caller) -> bool:
    return subprocess.run([*client.command, "version"], capture_output=True).returncode == 0


def test_it_is_the_runtime(docker):
    info = json.loads(docker("info", "--format", "{{json .}}"))
    assert info["DefaultRuntime"] == "sampan"


def test_exit_codes(docker):
    docker("run", "--rm", "box", "true")
    docker("run", "--rm", "box", "sh", "-c", "exit 7", code=7)
    assert "executable file not found in $PATH" in docker("run", "--rm", "box", "nope", code=127)
    assert "permission denied" in docker("run", "--rm", "box", "/etc/passwd", code=126)


def test_streams_and_terminal(docker):
    assert docker("run", "--rm", "-i", "box", "cat", stdin="hello") == "hello"
    assert docker("run", "--rm", "box", "sh", "-c", "echo out; echo err >&2") == "out\n"
    assert "/dev/pts/0" in docker("run", "--rm", "-t", "box", "tty")
    shown = docker("run", "--rm", "-it", "box", "sh", "-c", "tty; exit 3", tty=True, code=3)
    assert "/dev/pts/0" in shown


def test_exec_logs_stop(docker):
    script = "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.1; done"
    name = docker("run", "-d", "box", "sh", "-c", script).strip()
    assert docker("exec", name, "hostname").strip() == name[:12]
    assert docker("exec", "-u", "33", "-e", "A=b", "-w", "/tmp", name, "sh", "-c", "id -u;pwd;env")
    docker("exec", name, "sh", "-c", "exit 9", code=9)
    assert "/dev/pts/" in docker("exec", "-t", name, "tty")
    assert "executable file not found" in docker("exec", name, "nope", code=126)
    assert "sleep" in docker("top", name)
    docker("stop", "-t", "10", name)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", name).strip() == "5"
    assert docker("logs", name) == "up\nbye\n"
    docker("start", name)
    docker("kill", "-s", "KILL", name)
    assert docker("wait", name).strip() == "137"
    docker("rm", name)


def test_limits_update_pause(docker):
    limits = ("-m", "64m", "--pids-limit", "40", "--cpus", "0.5", "--cpu-shares", "300")
    name = docker("run", "-d", *limits, "box", "sleep", "100").strip()
    pid = int(docker("inspect", "-f", "{{.State.Pid}}", name))
    assert _group(pid, "memory", "memory.limit_in_bytes") == str(64 << 20)
    assert _group(pid, "pids", "pids.max") == "40"
    docker("update", "-m", "96m", "--memory-swap", "-1", name)
    assert _group(pid, "memory", "memory.limit_in_bytes") == str(96 << 20)
    docker("pause", name)
    assert docker("inspect", "-f", "{{.State.Status}}", name).strip() == "paused"
    docker("unpause", name)
    assert "96MiB" in docker("stats", "--no-stream", name)
    docker("rm", "-f", name)
    assert not os.path.exists(f"/proc/{pid}")


def _group(pid: int, controller: str, file: str) -> str:
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        if controller in line.split(":")[1].split(","):
            path = f"/sys/fs/cgroup/{controller}{line.split(':')[2]}/{file}"
            return Path(path).read_text().strip()
    pytest.skip(f"{controller} is not on cgroup v1 here")


def test_an_oom_kill_is_told(docker):
    script = "x=$(yes | head -c 80000000); echo $x | wc -c"
    name = docker("run", "-d", "-m", "20m", "box", "sh", "-c", script).strip()
    assert docker("wait", name).strip() == "137"
    assert docker("inspect", "-f", "{{.State.OOMKilled}}", name).strip() == "true"


def test_volumes_and_roots(docker, place):
    docker("volume", "create", "data")
    docker("run", "--rm", "-v", "data:/data", "box", "sh", "-c", "echo kept > /data/new")
    assert docker("run", "--rm", "-v", "data:/d:ro", "box", "cat", "/d/new") == "kept\n"
    docker("run", "--rm", "-v", "data:/d:ro", "box", "touch", "/d/x", code=1)
    docker("volume", "rm", "data")
    (place / "shared").mkdir()
    docker("run", "--rm", "-v", f"{place}/shared:/s", "box", "touch", "/s/here")
    assert (place / "shared/here").exists()
    docker(
        "run", "--rm", "--read-only", "--tmpfs", "/t", "box", "sh", "-c", "touch /t/a && ! touch /a"
    )


def test_who_it_is(docker):
    assert docker("run", "--rm", "-u", "33:10", "box", "id", "-u").strip() == "33"
    caps = docker("run", "--rm", "--cap-drop", "ALL", "box", "grep", "CapEff", "/proc/self/status")
    assert caps.split()[1] == "0" * 16
    status = docker(
        *("run", "--rm", "--security-opt", "no-new-privileges", "box"),
        *("grep", "-e", "NoNewPrivs", "-e", "Seccomp:", "/proc/self/status"),
    )
    assert status.split() == ["NoNewPrivs:", "1", "Seccomp:", "2"]
    first = docker("run", "--rm", "--init", "box", "cat", "/proc/1/comm")
    assert first.strip() == "docker-init"


def test_a_network(docker):
    docker(
        "network", "create", "--subnet", NETWORK, "-o", "com.docker.network.bridge.name=cl0", "n"
    )
    try:
        name = docker(
            "run", "-d", "--network", "n", "--name", "peer", "box", "sleep", "100"
        ).strip()
        docker("run", "--rm", "--network", "n", "box", "ping", "-c", "1", "-W", "5", "peer")
        shared = docker("run", "--rm", "--network", f"container:{name}", "box", "ip", "-4", "addr")
        assert "198.51.100.19" in shared or "198.51.100.20" in shared
        docker("rm", "-f", name)
    finally:
        docker("network", "rm", "n")
    assert "eth0" not in docker("run", "--rm", "--network", "none", "box", "ip", "addr")


def test_health(docker):
    name = docker(
        *("run", "-d", "--health-cmd", "test -e /ok", "--health-interval", "300ms"),
        *("--health-retries", "2", "box", "sh", "-c", "touch /ok; sleep 100"),
    ).strip()

    def health() -> str:
        return docker("inspect", "-f", "{{.State.Health.Status}}", name).strip()

    eventually(lambda: health() == "healthy", "health")
    docker("exec", name, "rm", "/ok")
    eventually(lambda: health() == "unhealthy", "illness")
    docker("rm", "-f", name)
