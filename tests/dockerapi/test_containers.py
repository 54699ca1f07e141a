"""Containers through the real socket, from create to remove."""

import io
import json
import os
import socket
import tarfile
from typing import Any

import pytest

from sampan.spec import docker_stream
from tests.engine_process import Engine, head, read_to_end, unchunk

pytestmark = pytest.mark.needs("mount")


def frames(data: bytes) -> list[tuple[int, bytes]]:
    return [(f.stream, f.payload) for f in docker_stream.FrameDecoder().feed(data)]


def output(engine: Engine, container: str, query: str = "stdout=1&stderr=1") -> bytes:
    status, body = engine.request("GET", f"/containers/{container}/logs?{query}")
    assert status == 200, body
    return b"".join(payload for _, payload in frames(body))


def remove(engine: Engine, container: str) -> None:
    status, body = engine.request("DELETE", f"/containers/{container}?force=1&v=1")
    assert status == 204, body


def test_a_container_runs_logs_and_says_how_it_ended(engine: Engine) -> None:
    container = engine.run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert engine.wait(container) == 7
    body = engine.request("GET", f"/containers/{container}/logs?stdout=1&stderr=1")[1]
    assert sorted(frames(body)) == [(1, b"out\n"), (2, b"err\n")]
    state = engine.inspect(container)["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 7, 0)
    assert state["StartedAt"] < state["FinishedAt"]
    remove(engine, container)
    assert engine.request("GET", f"/containers/{container}/json") == (
        404,
        {"message": f"No such container: {container}"},
    )


def test_attach_before_start_gets_everything_and_stdin_until_its_end(engine: Engine) -> None:
    container = engine.create("cat", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    sock, answer, rest = engine.hijack(
        f"/v1.51/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1"
    )
    with sock:
        assert answer.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        assert b"Content-Type: application/vnd.docker.multiplexed-stream" in answer
        assert engine.request("POST", f"/containers/{container}/start")[0] == 204
        sock.sendall(b"one\n")
        sock.sendall(b"two\n")
        sock.shutdown(socket.SHUT_WR)
        received = frames(rest + read_to_end(sock))
    assert b"".join(payload for _, payload in received) == b"one\ntwo\n"
    assert engine.wait(container) == 0
    remove(engine, container)


def test_attach_with_logs_before_start_gets_what_a_short_command_says_once(engine: Engine) -> None:
    container = engine.create("echo", "short")
    sock, _, rest = engine.hijack(f"/containers/{container}/attach?stream=1&stdout=1&logs=1")
    with sock:
        assert engine.request("POST", f"/containers/{container}/start")[0] == 204
        received = frames(rest + read_to_end(sock))
    assert b"".join(payload for _, payload in received) == b"short\n"
    remove(engine, container)


def test_wait_answers_its_head_before_the_container_has_started(engine: Engine) -> None:
    container = engine.create("sh", "-c", "exit 3")
    with engine.connect() as sock:
        path = f"/containers/{container}/wait?condition=next-exit"
        sock.sendall(head("POST", path, None, {"Connection": "close"}))
        received = sock.recv(4096)
        assert received.startswith(b"HTTP/1.1 200 OK")
        assert engine.request("POST", f"/containers/{container}/start")[0] == 204
        body = (received + read_to_end(sock)).partition(b"\r\n\r\n")[2]
    assert json.loads(unchunk(body)) == {"StatusCode": 3}
    remove(engine, container)


def test_a_terminal_is_raw_and_has_its_size(engine: Engine) -> None:
    container = engine.create(
        "stty", "size", Tty=True, HostConfig={"ConsoleSize": [33, 99], "NetworkMode": "none"}
    )
    sock, answer, rest = engine.hijack(f"/containers/{container}/attach?stream=1&stdout=1")
    with sock:
        assert b"application/vnd.docker.raw-stream" in answer
        engine.request("POST", f"/containers/{container}/start")
        assert rest + read_to_end(sock) == b"33 99\r\n"
    remove(engine, container)


def test_exec_runs_beside_and_reports_its_code(engine: Engine) -> None:
    container = engine.run("sleep", "100")
    body = {"AttachStdout": True, "AttachStdin": True, "Cmd": ["sh", "-c", "cat; exit 4"]}
    status, made = engine.request("POST", f"/containers/{container}/exec", body)
    assert status == 201
    sock, answer, rest = engine.hijack(f"/exec/{made['Id']}/start", {"Detach": False})
    with sock:
        assert answer.startswith(b"HTTP/1.1 101")
        sock.sendall(b"hello")
        sock.shutdown(socket.SHUT_WR)
        assert frames(rest + read_to_end(sock)) == [(1, b"hello")]
    found = engine.request("GET", f"/exec/{made['Id']}/json")[1]
    assert (found["ExitCode"], found["Running"]) == (4, False)
    status, body = engine.request("POST", f"/exec/{made['Id']}/start", {})
    assert status == 409
    remove(engine, container)


def test_stop_kill_restart_pause(engine: Engine) -> None:
    container = engine.run("sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done")
    path = f"/containers/{container}"
    assert engine.request("POST", f"{path}/start")[0] == 304
    assert engine.request("POST", f"{path}/pause")[0] == 204
    assert engine.inspect(container)["State"]["Paused"]
    assert engine.request("POST", f"{path}/unpause")[0] == 204
    assert engine.request("POST", f"{path}/stop?t=5")[0] == 204
    assert engine.inspect(container)["State"]["ExitCode"] == 9
    assert engine.request("POST", f"{path}/stop")[0] == 304
    assert engine.request("POST", f"{path}/restart?t=0")[0] == 204
    assert engine.inspect(container)["State"]["Running"]
    assert engine.request("POST", f"{path}/kill?signal=KILL")[0] == 204
    assert engine.inspect(container)["State"]["ExitCode"] == 137
    status, answer = engine.request("POST", f"{path}/kill")
    assert status == 409 and "is not running" in answer["message"]
    remove(engine, container)


def test_remove_wants_force_for_what_runs(engine: Engine) -> None:
    container = engine.run("sleep", "100", name="busy-one")
    status, answer = engine.request("DELETE", "/containers/busy-one")
    assert status == 409
    assert 'cannot remove container "busy-one": container is running' in answer["message"]
    remove(engine, container)


def test_auto_remove_takes_container_and_anonymous_volume(engine: Engine) -> None:
    container = engine.create(
        "true", Volumes={"/data": {}}, HostConfig={"AutoRemove": True, "NetworkMode": "none"}
    )
    volume = engine.inspect(container)["Mounts"][0]["Source"]
    with open(f"{volume}/from-image") as file:
        assert file.read() == "hello\n"
    with engine.connect() as sock:
        path = f"/containers/{container}/wait?condition=removed"
        sock.sendall(head("POST", path, None, {"Connection": "close"}))
        sock.recv(4096)
        engine.request("POST", f"/containers/{container}/start")
        read_to_end(sock)
    assert engine.request("GET", f"/containers/{container}/json")[0] == 404
    assert not os.path.exists(volume)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"Image": "nosuch"}, 404, "No such image: nosuch:latest"),
        ({"Image": "busybox", "Env": ["=x"]}, 400, "invalid environment variable: =x"),
        ({"Image": "busybox", "WorkingDir": "x"}, 400, "needs to be an absolute path"),
        ({"Image": "busybox", "StopSignal": "X"}, 400, "Invalid signal: X"),
        ({"Image": "busybox", "HostConfig": {"Memory": 1024}}, 400, "Minimum memory limit"),
        ({"Image": "busybox", "HostConfig": {"NanoCpus": 10**15}}, 400, "range of CPUs is from"),
        ({"Image": "busybox", "HostConfig": {"CpusetCpus": "0-x"}}, 400, "Invalid value 0-x for"),
        ({"Image": "busybox", "HostConfig": {"CpusetCpus": "999"}}, 400, "CPUs are not available"),
        ({"Image": "busybox", "Healthcheck": {"Interval": 1000}}, 400, "cannot be less than 1ms"),
        ({"Image": "busybox", "HostConfig": {"Binds": ["x:y:z:w"]}}, 400, "invalid volume spec"),
        ({"Image": "busybox", "HostConfig": {"Binds": ["/a:/b:huh"]}}, 400, "invalid mode: huh"),
        (
            {
                "Image": "busybox",
                "HostConfig": {"Mounts": [{"Type": "bind", "Source": "/nope", "Target": "/x"}]},
            },
            400,
            "bind source path does not exist: /nope",
        ),
        (
            {"Image": "busybox", "HostConfig": {"RestartPolicy": {"Name": "often"}}},
            400,
            "invalid restart policy: unknown policy 'often'",
        ),
        ({"Image": "busybox", "ExposedPorts": {"x/tcp": {}}}, 400, "invalid port"),
    ],
)
def test_bad_requests_are_answered_in_one_sentence(
    engine: Engine, body: dict[str, Any], status: int, message: str
) -> None:
    found, answer = engine.request("POST", "/containers/create", body)
    assert (found, message in answer["message"]) == (status, True), answer
    assert engine.request("GET", "/containers/json?all=1")[1] == []


def test_names_are_taken_once(engine: Engine) -> None:
    first = engine.create("true", name="only-one")
    body = {"Image": "busybox"}
    status, answer = engine.request("POST", "/containers/create?name=only-one", body)
    assert status == 409
    assert answer["message"] == (
        f'Conflict. The container name "/only-one" is already in use by container "{first}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    assert engine.request("POST", f"/containers/{first}/rename?name=other-one")[0] == 204
    assert engine.inspect("other-one")["Name"] == "/other-one"
    assert engine.inspect(first[:7])["Id"] == first
    remove(engine, first)


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [
        ("nosuch", 127, "executable file not found"),
        ("/etc/passwd", 126, "permission denied"),
        ("/no/such", 127, "no such file or directory"),
    ],
)
def test_a_start_that_cannot_be_says_why(
    engine: Engine, command: str, code: int, text: str
) -> None:
    container = engine.create(command)
    status, answer = engine.request("POST", f"/containers/{container}/start")
    assert status == 400
    assert text in answer["message"]
    state = engine.inspect(container)["State"]
    assert (state["Status"], state["ExitCode"]) == ("created", code)
    assert text in state["Error"]
    remove(engine, container)


def test_files_go_in_and_out(engine: Engine) -> None:
    container = engine.create("cat", "/tmp/in.txt")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo("in.txt")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"12345"))
    status, answer = engine.request(
        "PUT", f"/containers/{container}/archive?path=/tmp", packed.getvalue()
    )
    assert status == 200, answer
    engine.request("POST", f"/containers/{container}/start")
    assert engine.wait(container) == 0
    assert output(engine, container) == b"12345"
    status, body = engine.request("GET", f"/containers/{container}/archive?path=/tmp/in.txt")
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        assert tar.getnames() == ["in.txt"]
    status, answer = engine.request("GET", f"/containers/{container}/archive?path=/nope")
    assert (status, "Could not find the file /nope" in answer["message"]) == (404, True)
    remove(engine, container)


def test_files_can_be_given_to_the_containers_user(engine: Engine) -> None:
    container = engine.create("stat", "-c", "%u:%g", "/tmp/mine", User="1234:567")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("mine"))
    path = f"/containers/{container}/archive?path=/tmp&copyUIDGID=1"
    assert engine.request("PUT", path, packed.getvalue())[0] == 200
    engine.request("POST", f"/containers/{container}/start")
    assert engine.wait(container) == 0
    assert output(engine, container) == b"1234:567\n"
    remove(engine, container)


def test_stats_top_and_list_see_a_running_container(engine: Engine) -> None:
    container = engine.run("sleep", "100", name="seen", Labels={"tier": "front"})
    stats = engine.request("GET", f"/containers/{container}/stats?stream=0&one-shot=1")[1]
    assert stats["pids_stats"]["current"] == 1
    assert stats["memory_stats"]["usage"] > 0
    titles, processes = engine.request("GET", "/containers/seen/top")[1].values()
    assert processes[0][titles.index("CMD")] == "sleep 100"
    filters = '{"label":["tier=front"],"status":["running"]}'
    listed = engine.request("GET", f"/containers/json?filters={filters}")[1]
    assert [(c["Names"], c["State"], c["Command"]) for c in listed] == [
        (["/seen"], "running", "sleep 100")
    ]
    remove(engine, container)


def test_limits_reach_the_cgroup(engine: Engine) -> None:
    host = {"Memory": 32 << 20, "PidsLimit": 7, "NetworkMode": "none", "ReadonlyRootfs": True}
    host |= {"Tmpfs": {"/run": ""}, "CapDrop": ["ALL"], "Ulimits": [
        {"Name": "nofile", "Soft": 64, "Hard": 64}]}  # fmt: skip
    script = "ulimit -n; touch /x; touch /run/x && echo ok; grep CapEff /proc/self/status"
    container = engine.run("sh", "-c", script, HostConfig=host)
    assert engine.wait(container) == 0
    lines = output(engine, container, "stdout=1").decode().split()
    assert lines == ["64", "ok", "CapEff:", "0000000000000000"]
    remove(engine, container)


def test_the_engine_speaks_versions_as_docker_does(engine: Engine) -> None:
    assert engine.request("GET", "/v1.24/containers/json") == (200, [])
    status, answer = engine.request("GET", "/v1.99/info")
    assert (status, "client version 1.99 is too new" in answer["message"]) == (400, True)
    status, answer = engine.request("GET", "/v1.12/info")
    assert (status, "too old" in answer["message"]) == (400, True)
    assert engine.request("GET", "/nothing/here") == (404, {"message": "page not found"})


def test_the_reaper_of_init_has_a_name_of_its_own(engine: Engine) -> None:
    container = engine.run("sleep", "60", HostConfig={"Init": True})
    processes = engine.request("GET", f"/containers/{container}/top?ps_args=-eo+pid,args")[1]
    assert [row[1] for row in processes["Processes"]] == ["sampan-init", "sleep 60"]
    remove(engine, container)
