"""Containers below another OCI runtime: Debian's runc and crun, and our own as a program."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import conftest
from tests.dockerapi.test_containers import frames, output, remove
from tests.dockerapi.test_survival import wait_for_end
from tests.engine_process import Engine, read_to_end
from tests.voyage.programs import until

pytestmark = pytest.mark.needs("mount")
OURS = Path(__file__).resolve().parents[2] / ".venv/bin/sampan-oci"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("settings") / "sampand.json"
    table = {
        "program": {"path": str(OURS), "runtimeArgs": []},
        "gone": {"path": "/nowhere/runtime"},
        "never": {"path": "/bin/false"},
    }
    path.write_text(json.dumps({"runtimes": table}))
    return str(path)


@pytest.fixture(scope="module")
def engine(settings: str) -> Iterator[Engine]:
    with Engine("--config-file", settings) as running:
        yield running
        assert "Traceback" not in running.log(), running.log()


@pytest.fixture(params=["runc", "crun", "program"])
def runtime(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name != "program" and not conftest.host_can(name):
        pytest.skip(f"this host cannot: {name}")
    return name


def host(runtime: str, **more: object) -> dict[str, object]:
    return {"Runtime": runtime, "NetworkMode": "none", **more}


def test_the_named_program_makes_the_container(engine: Engine, runtime: str) -> None:
    script = "echo out; echo err >&2; cat /etc/hostname; exit 3"
    container = engine.run(
        "sh", "-c", script, Hostname="cabin", HostConfig=host(runtime, NetworkMode="bridge")
    )
    assert engine.wait(container) == 3
    assert output(engine, container, "stdout=1") == b"out\ncabin\n"
    assert output(engine, container, "stderr=1") == b"err\n"
    assert engine.inspect(container)["HostConfig"]["Runtime"] == runtime
    remove(engine, container)
    assert not os.path.exists(engine.paths.container_run(container))


def test_a_program_knows_its_container_while_it_runs(engine: Engine, runtime: str) -> None:
    """That it is the program that runs it: its own `list` names the container."""
    import subprocess

    annotations = {"org.example.made-by": "a test"}
    container = engine.run("sleep", "100", HostConfig=host(runtime, Annotations=annotations))
    state = f"{engine.paths.container_run(container)}/program/state"
    program = str(OURS) if runtime == "program" else runtime
    listed = subprocess.run(
        [program, "--root", state, "state", container], capture_output=True, check=True
    )
    found = json.loads(listed.stdout)
    pid = engine.inspect(container)["State"]["Pid"]
    assert (found["status"], found["pid"]) == ("running", pid)
    assert found["annotations"].items() >= annotations.items()
    remove(engine, container)


def test_terminal_stdin_exec_and_signals(engine: Engine, runtime: str) -> None:
    script = "trap 'exit 9' TERM; stty size; while :; do sleep 0.05; done"
    container = engine.create(
        "sh", "-c", script, Tty=True, HostConfig=host(runtime, ConsoleSize=[33, 99])
    )
    sock, _, rest = engine.hijack(f"/containers/{container}/attach?stream=1&stdout=1")
    path = f"/containers/{container}"
    with sock:
        assert engine.request("POST", f"{path}/start")[0] == 204
        while len(rest) < 7:
            rest += sock.recv(100)
        assert rest == b"33 99\r\n"
        assert run_in(engine, container, "sh", "-c", "cat; exit 4", typed=b"hello") == (b"hello", 4)
        code = run_in(engine, container, "nonsense")[1]
        assert code == 127
        assert tty_in(engine, container) == b"xterm\r\n"
        assert engine.request("POST", f"{path}/pause")[0] == 204
        assert engine.inspect(container)["State"]["Paused"]
        assert engine.request("POST", f"{path}/unpause")[0] == 204
        assert engine.request("POST", f"{path}/stop?t=10")[0] == 204
        assert read_to_end(sock) == b""
    assert engine.inspect(container)["State"]["ExitCode"] == 9
    assert engine.request("POST", f"{path}/restart?t=0")[0] == 204
    assert engine.request("POST", f"{path}/kill?signal=KILL")[0] == 204
    assert engine.inspect(container)["State"]["ExitCode"] == 137
    remove(engine, container)


def run_in(engine: Engine, container: str, *command: str, typed: bytes = b"") -> tuple[bytes, int]:
    body = {"AttachStdout": True, "AttachStdin": True, "Cmd": command}
    made = engine.request("POST", f"/containers/{container}/exec", body)[1]
    sock, _, rest = engine.hijack(f"/exec/{made['Id']}/start", {"Detach": False})
    with sock:
        sock.sendall(typed)
        sock.shutdown(socket.SHUT_WR)
        said = b"".join(data for stream, data in frames(rest + read_to_end(sock)) if stream == 1)
    return said, engine.request("GET", f"/exec/{made['Id']}/json")[1]["ExitCode"]


def tty_in(engine: Engine, container: str) -> bytes:
    body = {"AttachStdout": True, "Tty": True, "Cmd": ["sh", "-c", "tty >/dev/null && echo $TERM"]}
    made = engine.request("POST", f"/containers/{container}/exec", body)[1]
    sock, _, rest = engine.hijack(f"/exec/{made['Id']}/start", {"Detach": False, "Tty": True})
    with sock:
        return rest + read_to_end(sock)


def test_limits_hold_and_change(engine: Engine, runtime: str) -> None:
    container = engine.run("sleep", "100", HostConfig=host(runtime, Memory=32 << 20, PidsLimit=20))
    limit = "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes"
    assert run_in(engine, container, "sh", "-c", limit)[0] == b"33554432\n"
    changes = {"Memory": 48 << 20, "MemorySwap": 96 << 20}
    assert engine.request("POST", f"/containers/{container}/update", changes)[0] == 200
    assert run_in(engine, container, "sh", "-c", limit)[0] == b"50331648\n"
    stats = engine.request("GET", f"/containers/{container}/stats?stream=0&one-shot=1")[1]
    assert stats["pids_stats"] == {"current": 1, "limit": 20}
    assert stats["memory_stats"]["limit"] == 48 << 20
    processes = engine.request("GET", f"/containers/{container}/top")[1]["Processes"]
    assert [row[-1] for row in processes] == ["sleep 100"]
    remove(engine, container)


def test_files_mounts_and_changes_are_as_ever(engine: Engine, runtime: str, tmp_path: Path) -> None:
    (tmp_path / "greeting").write_text("hello\n")
    script = "cat /given/greeting; touch /given/x; echo new >/new; mount | grep -c /scratch"
    binds = host(runtime, Binds=[f"{tmp_path}:/given:ro"], Tmpfs={"/scratch": ""})
    container = engine.run("sh", "-c", script + "; sleep 100", HostConfig=binds)
    until(lambda: output(engine, container, "stdout=1").endswith(b"1\n"))
    status, tar = engine.request("GET", f"/containers/{container}/archive?path=/given/greeting")
    assert status == 200 and b"hello\n" in tar
    assert not (tmp_path / "x").exists()
    changes = engine.request("GET", f"/containers/{container}/changes")[1]
    assert {change["Path"] for change in changes} == {"/new", "/scratch", "/given"}
    remove(engine, container)
    with open("/proc/self/mountinfo") as file:
        assert container not in file.read()  # nothing was mounted on the host


def test_it_outlives_the_engine(settings: str, runtime: str) -> None:
    with Engine("--config-file", settings) as engine:
        script = "trap 'exit 5' TERM; echo here; while :; do sleep 0.05; done"
        container = engine.run("sh", "-c", script, HostConfig=host(runtime))
        engine.stop(signal.SIGKILL)
        engine.start()
        assert engine.inspect(container)["State"]["Running"]
        assert run_in(engine, container, "echo", "still")[0] == b"still\n"
        assert engine.request("POST", f"/containers/{container}/stop?t=10")[0] == 204
        assert engine.inspect(container)["State"]["ExitCode"] == 5
        assert output(engine, container) == b"here\n"


def test_a_killed_monitor_takes_it_along(engine: Engine, runtime: str) -> None:
    container = engine.run("sleep", "100", HostConfig=host(runtime))
    pid = engine.inspect(container)["State"]["Pid"]
    with open(f"/proc/{pid}/stat") as file:
        monitor = int(file.read().rpartition(")")[2].split()[1])
    os.kill(monitor, signal.SIGKILL)
    assert engine.wait(container) == 137
    wait_for_end(pid)
    assert not [d for d, _, _ in os.walk("/sys/fs/cgroup") if d.endswith(container)]
    assert engine.request("POST", f"/containers/{container}/start")[0] == 204
    remove(engine, container)


@pytest.mark.parametrize(
    ("name", "command", "code", "sentence"),
    [
        ("gone", "true", 128, "runtime gone: there is no program /nowhere/runtime"),
        ("never", "true", 128, "/bin/false ended with 1 and no word"),
        ("program", "nonsense", 127, "executable file not found in $PATH"),
        ("program", "/etc/passwd", 126, "permission denied"),
    ],
)
def test_a_start_that_fails_says_what_the_program_said(
    engine: Engine, name: str, command: str, code: int, sentence: str
) -> None:
    container = engine.create(command, HostConfig=host(name))
    status, answer = engine.request("POST", f"/containers/{container}/start")
    assert status >= 400 and sentence in answer["message"]
    assert engine.inspect(container)["State"]["ExitCode"] == code
    remove(engine, container)


def test_info_names_the_runtimes(engine: Engine) -> None:
    info = engine.request("GET", "/info")[1]
    assert info["Runtimes"]["program"] == {"path": str(OURS), "runtimeArgs": []}
    assert info["DefaultRuntime"] == "sampan"
    status, answer = engine.request(
        "POST", "/containers/create", {"Image": "busybox", "HostConfig": {"Runtime": "nobody"}}
    )
    assert (status, answer["message"]) == (400, "unknown or invalid runtime name: nobody")
