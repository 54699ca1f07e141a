"""What an engine's death, gentle or not, does to containers: nothing."""

import concurrent.futures
import io
import signal
import socket
import tarfile
from pathlib import Path

import pytest

from tests.dockerapi.test_containers import output
from tests.engine_process import Engine, read_to_end
from tests.voyage.programs import until

pytestmark = pytest.mark.needs("mount")


def count_to(last: int, code: int) -> tuple[str, ...]:
    script = f"i=0; while [ $i -lt {last} ]; do echo $i; i=$((i+1)); usleep 5000; done; exit {code}"
    return "sh", "-c", script


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_container_goes_on_and_the_next_engine_takes_over(
    own_engine: Engine, number: int
) -> None:
    first, second = count_to(100, 0)[2], count_to(200, 5)[2]
    script = f"{first.removesuffix('; exit 0')}; until [ -e /go ]; do usleep 5000; done"
    container = own_engine.run("sh", "-c", f"{script}; {second.removeprefix('i=0; ')}")
    own_engine.stop(number)
    own_engine.start()
    state = own_engine.inspect(container)["State"]
    assert state["Running"] and state["Pid"]
    with io.BytesIO() as made:
        with tarfile.open(fileobj=made, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("go"))
        path = f"/containers/{container}/archive?path=/"
        assert own_engine.request("PUT", path, made.getvalue())[0] == 200
    assert own_engine.wait(container) == 5
    expected = "".join(f"{i}\n" for i in range(200)).encode()
    assert output(own_engine, container) == expected


def test_what_ended_meanwhile_is_known(own_engine: Engine) -> None:
    ended = own_engine.run("sleep", "100")
    kept = own_engine.create("true", HostConfig={"AutoRemove": True, "NetworkMode": "none"})
    own_engine.request("POST", f"/containers/{ended}/kill?signal=KILL")
    quick = own_engine.run("sh", "-c", "usleep 200000; exit 8")
    pid = own_engine.inspect(quick)["State"]["Pid"]
    own_engine.stop(signal.SIGKILL)
    wait_for_end(pid)
    own_engine.start()
    assert own_engine.inspect(quick)["State"]["ExitCode"] == 8
    assert own_engine.inspect(ended)["State"]["ExitCode"] == 137
    assert own_engine.inspect(kept)["State"]["Status"] == "created"


def wait_for_end(pid: int) -> None:
    import os
    import select

    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([fd], [], [], 10)
    os.close(fd)


def test_a_killed_monitor_takes_its_container_along(own_engine: Engine) -> None:
    import os

    container = own_engine.run("sleep", "100")
    pid = own_engine.inspect(container)["State"]["Pid"]
    with open(f"/proc/{pid}/stat") as file:
        monitor = int(file.read().rpartition(")")[2].split()[1])
    os.kill(monitor, signal.SIGKILL)
    assert own_engine.wait(container) == 137
    assert not [d for d, _, _ in os.walk("/sys/fs/cgroup") if d.endswith(container)]
    assert own_engine.request("POST", f"/containers/{container}/start")[0] == 204
    assert own_engine.inspect(container)["State"]["Running"]


def test_restart_policies_count_and_give_up(own_engine: Engine) -> None:
    policy = {"Name": "on-failure", "MaximumRetryCount": 2}
    container = own_engine.run(
        "sh", "-c", "echo x; exit 1", HostConfig={"RestartPolicy": policy, "NetworkMode": "none"}
    )
    assert own_engine.wait(container) == 1  # the first end; the policy goes on

    def given_up() -> bool:
        found = own_engine.inspect(container)
        return (found["RestartCount"], found["State"]["Status"]) == (2, "exited")

    until(given_up)
    assert output(own_engine, container) == b"x\nx\nx\n"


def test_a_restart_that_fails_is_tried_again(own_engine: Engine, tmp_path: Path) -> None:
    needed = tmp_path / "needed"
    needed.mkdir()
    host = {"Binds": [f"{needed}:/needed"], "RestartPolicy": {"Name": "always"}}
    container = own_engine.run("sh", "-c", "sleep 1; exit 3", HostConfig=host)
    needed.rename(tmp_path / "away")
    until(lambda: "no such file" in own_engine.inspect(container)["State"]["Error"].lower())
    until(lambda: own_engine.inspect(container)["State"]["Status"] == "restarting")
    (tmp_path / "away").rename(needed)
    until(lambda: own_engine.inspect(container)["State"]["Status"] == "running")
    assert own_engine.inspect(container)["State"]["Error"] == ""
    assert own_engine.request("DELETE", f"/containers/{container}?force=1")[0] == 204


def test_start_stop_and_kill_at_once_end_in_one_truth(own_engine: Engine) -> None:
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for verb in ("stop?t=0", "kill", "stop?t=0", "kill"):
            container = own_engine.create("sleep", "1000")
            start = pool.submit(own_engine.request, "POST", f"/containers/{container}/start")
            end = pool.submit(own_engine.request, "POST", f"/containers/{container}/{verb}")
            assert start.result()[0] == 204
            ended = end.result()[0] == 204
            state = own_engine.inspect(container)["State"]
            assert state["Running"] is not ended, (verb, state)
            assert own_engine.request("DELETE", f"/containers/{container}?force=1")[0] == 204
    assert own_engine.request("GET", "/containers/json?all=1")[1] == []


def test_attach_during_a_start_is_served(own_engine: Engine) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        for _ in range(10):
            container = own_engine.create("cat", OpenStdin=True, StdinOnce=True, AttachStdin=True)
            start = pool.submit(own_engine.request, "POST", f"/containers/{container}/start")
            query = "stream=1&stdin=1&stdout=1"
            sock, _, _ = own_engine.hijack(f"/containers/{container}/attach?{query}")
            with sock:
                sock.settimeout(10)
                sock.sendall(b"hello")
                sock.shutdown(socket.SHUT_WR)
                assert b"hello" in read_to_end(sock)
            assert start.result()[0] == 204
