"""The real docker CLI against our engine: what its users type, and what they see.

Set SAMPAN_TEST_DOCKER_HOST to a dockerd's socket (with an image `busybox`) to see that the tests
are right about Docker itself.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine_process import Engine

DOCKER = shutil.which("docker")
pytestmark = [
    pytest.mark.needs("mount"),
    pytest.mark.skipif(DOCKER is None, reason="there is no docker CLI here"),
]


class Docker:
    def __init__(self, host: str, home: str) -> None:
        self.environment = {"DOCKER_HOST": host, "HOME": home, "PATH": os.environ["PATH"]}

    def __call__(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """Run it; its standard output, and on failure its standard error."""
        assert DOCKER
        done = subprocess.run(
            [DOCKER, *words], input=stdin, capture_output=True, text=True, timeout=30,
            env=self.environment,
        )  # fmt: skip
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stdout + done.stderr


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Docker]:
    home = str(tmp_path_factory.mktemp("home"))
    if host := os.environ.get("SAMPAN_TEST_DOCKER_HOST"):
        yield Docker(host, home)
        return
    with Engine() as engine:
        yield Docker(engine.docker_host, home)
        assert "Traceback" not in engine.log(), engine.log()


def test_run_shows_output_and_exit_code(docker: Docker) -> None:
    assert docker("run", "--rm", "busybox", "echo", "hi") == "hi\n"
    docker("run", "--rm", "busybox", "sh", "-c", "exit 5", code=5)
    assert docker("run", "--rm", "-i", "busybox", "cat", stdin="abc") == "abc"
    assert docker("ps", "-aq") == ""


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--rm", "--pull", "never", "nosuchimage"), 125, "No such image: nosuchimage:latest"),
        (("--rm", "-m", "1k", "busybox"), 125, "Minimum memory limit allowed is 6MB"),
        (("--rm", "busybox", "/etc/passwd"), 126, "permission denied"),
        (("--rm", "busybox", "nosuch"), 127, "executable file not found"),
        (("--rm", "busybox", "sh", "-c", "sh -c 'kill -9 $$'; exit $?"), 137, ""),
    ],
)
def test_exit_codes_of_run(docker: Docker, words: tuple[str, ...], code: int, text: str) -> None:
    assert text in docker("run", *words, code=code)
    assert docker("ps", "-aq") == ""


def test_a_detached_container_from_create_to_rm(docker: Docker) -> None:
    full = docker("run", "-d", "--name", "cli-one", "-e", "A=b", "busybox", "sleep", "100").strip()
    assert docker("ps", "--format", "{{.Names}} {{.Image}} {{.Command}}").strip() == (
        'cli-one busybox "sleep 100"'
    )
    assert docker("exec", "cli-one", "sh", "-c", "echo $A $HOSTNAME") == f"b {full[:12]}\n"
    docker("exec", "cli-one", "sh", "-c", "exit 3", code=3)
    docker("exec", "cli-one", "nosuch", code=127)
    assert docker("exec", "-i", "cli-one", "cat", stdin="in") == "in"
    assert docker("exec", "-w", "/tmp", "-u", "33", "cli-one", "sh", "-c", "pwd; id -u") == (
        "/tmp\n33\n"
    )
    assert "sleep 100" in docker("top", "cli-one")
    assert "cli-one" in docker("stats", "--no-stream")
    docker("pause", "cli-one")
    assert "(Paused)" in docker("ps")
    docker("unpause", "cli-one")
    docker("rename", "cli-one", "cli-two")
    docker("update", "--memory", "64m", "--memory-swap", "64m", "cli-two")
    docker("stop", "-t", "0", "cli-two")
    assert docker("wait", "cli-two") == "137\n"
    assert docker("inspect", "-f", "{{.State.Status}} {{.HostConfig.Memory}}", full) == (
        f"exited {64 << 20}\n"
    )
    docker("start", "cli-two")
    assert "container is running" in docker("rm", "cli-two", code=1)
    docker("rm", "-f", "cli-two")
    assert "No such container: cli-two" in docker("logs", "cli-two", code=1)


def test_logs_tail_since_and_follow(docker: Docker) -> None:
    docker("run", "--name", "cli-logs", "busybox", "sh", "-c", "echo a; echo c")
    assert docker("logs", "--tail", "1", "cli-logs") == "c\n"
    assert docker("logs", "-f", "cli-logs") == "a\nc\n"
    stamped = docker("logs", "-t", "--tail", "1", "cli-logs")
    assert docker("logs", "--since", stamped.split()[0], "cli-logs").endswith("c\n")
    assert docker("start", "-a", "cli-logs") == "a\nc\n"
    assert docker("logs", "cli-logs") == "a\nc\na\nc\n"
    docker("rm", "cli-logs")


def test_cp_both_ways(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    docker("create", "--name", "cli-cp", "busybox", "cat", "/tmp/file")
    docker("cp", str(tmp_path / "file"), "cli-cp:/tmp/")
    assert docker("start", "-a", "cli-cp") == "content"
    docker("cp", "cli-cp:/tmp/file", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "content"
    assert "Could not find the file /nope" in docker("cp", "cli-cp:/nope", "-", code=1)
    docker("rm", "cli-cp")


def test_events_tell_the_life_of_a_container(docker: Docker) -> None:
    since = f"{time.time():.9f}"
    full = docker("run", "-d", "busybox", "sh", "-c", "exit 2").strip()
    docker("wait", full)
    docker("rm", full)
    span = ("--since", since, "--until", f"{time.time():.9f}")

    def told(*filters: str) -> list[str]:
        return docker("events", *span, *filters, "--format", "{{.Type}} {{.Action}}").splitlines()

    assert told("--filter", f"container={full}") == [  # a network's events are about the network
        "container create", "container start", "container die", "container destroy",
    ]  # fmt: skip
    everything = told()
    assert everything.index("network connect") < everything.index("container start")


def test_mounts(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("bound")
    bind = f"{tmp_path}:/mnt:ro"
    assert docker("run", "--rm", "-v", bind, "busybox", "cat", "/mnt/x") == "bound"
    docker("run", "--rm", "-v", bind, "busybox", "touch", "/mnt/y", code=1)
    docker("run", "--rm", "-v", f"{tmp_path}/new/dir:/mnt", "busybox", "touch", "/mnt/y")
    assert (tmp_path / "new/dir/y").exists()
    mount = f"type=bind,source={tmp_path}/missing,target=/mnt"
    assert "bind source path does not exist" in docker(
        "run", "--rm", "--mount", mount, "busybox", "true", code=125
    )
    docker("run", "--rm", "-v", "clivol:/data", "busybox", "sh", "-c", "echo more > /data/more")
    assert docker("run", "--rm", "-v", "clivol:/data", "busybox", "ls", "/data").split()[-1] == (
        "more"
    )
    assert "size=1024k" in docker(
        "run", "--rm", "--tmpfs", "/t:size=1m", "busybox", "grep", "/t", "/proc/mounts"
    )


def test_networking(docker: Docker) -> None:
    docker("run", "-d", "--name", "cli-web", "-p", "127.0.0.1:18934:80", "busybox",
           "httpd", "-f", "-h", "/etc", "-p", "80")  # fmt: skip
    assert docker("port", "cli-web") == "80/tcp -> 127.0.0.1:18934\n"
    address = docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "cli-web").strip()
    fetched = docker("run", "--rm", "busybox", "wget", "-qO-", f"http://{address}/group")
    assert "wheel" in fetched
    own = docker("exec", "cli-web", "cat", "/etc/hosts")
    assert address in own
    taken = docker("run", "--rm", "-p", "127.0.0.1:18934:80", "busybox", "true", code=125)
    assert "port is already allocated" in taken
    assert "lo" in docker("run", "--rm", "--network", "none", "busybox", "ip", "link")
    shared = docker("run", "--rm", "--network", "container:cli-web", "busybox", "ip", "addr")
    assert address in shared
    script = "grep x.test /etc/hosts && test $(hostname) = hh"
    options = ("--add-host", "x.test:10.9.8.7", "--hostname", "hh")
    docker("run", "--rm", *options, "busybox", "sh", "-c", script)
    docker("rm", "-f", "cli-web")


def test_security_options(docker: Docker) -> None:
    def inside(*options: str, script: str, code: int = 0) -> str:
        return docker("run", "--rm", *options, "busybox", "sh", "-c", script, code=code)

    assert inside("--cap-drop", "ALL", script="grep CapEff /proc/self/status").endswith(
        "0000000000000000\n"
    )
    assert inside(
        "--security-opt", "no-new-privileges", script="grep NoNewPrivs /proc/self/status"
    ).endswith("1\n")
    inside("--read-only", script="touch /x", code=1)
    inside(script="mount -t tmpfs t /tmp", code=1)
    inside("--privileged", script="mount -t tmpfs t /tmp")
    assert inside("--ulimit", "nofile=99:100", script="ulimit -n") == "99\n"
    assert inside("--device", "/dev/null:/dev/nix", script="ls /dev/nix") == "/dev/nix\n"
    assert inside("--init", script="cat /proc/1/comm").strip() != "sh"
    assert inside("--shm-size", "1m", script="df -k /dev/shm | tail -1").split()[1] == "1024"
    assert inside("-u", "web", script="id -un; id -g") == "web\n33\n"
