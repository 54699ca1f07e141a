"""What an engine's death, gentle or not, does to containers: nothing."""

import signal

import pytest

from tests.dockerapi.test_containers import output
from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")


def count_to(last: int, code: int) -> tuple[str, ...]:
    script = f"i=0; while [ $i -lt {last} ]; do echo $i; i=$((i+1)); usleep 5000; done; exit {code}"
    return "sh", "-c", script


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_container_goes_on_and_the_next_engine_takes_over(
    own_engine: Engine, number: int
) -> None:
    container = own_engine.run(*count_to(200, 5))
    own_engine.stop(number)
    own_engine.start()
    state = own_engine.inspect(container)["State"]
    assert state["Running"] and state["Pid"]
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
    assert own_engine.wait(container) == 1
    found = own_engine.inspect(container)
    assert (found["RestartCount"], found["State"]["Status"]) == (2, "exited")
    assert output(own_engine, container) == b"x\nx\nx\n"
