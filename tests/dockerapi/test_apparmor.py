"""AppArmor: the default profile, the one a container names, none for a privileged one."""

from collections.abc import Iterator

import pytest

from tests.dockerapi.test_containers import output, remove
from tests.engine_process import Engine

OWN = "/proc/self/attr/apparmor/current"


@pytest.fixture
def engine(engine: Engine) -> Iterator[Engine]:
    yield engine
    for container in engine.request("GET", "/containers/json?all=1")[1]:
        remove(engine, container["Id"])


def said(engine: Engine, *command: str, **config: object) -> str:
    container = engine.run(*command, **config)
    engine.wait(container)
    return output(engine, container).decode().strip()


pytestmark = pytest.mark.needs("mount", "apparmor")
CONFINED = "sampan-default (enforce)"


def test_a_container_has_the_default_profile(engine: Engine) -> None:
    assert said(engine, "cat", OWN) == CONFINED
    assert "name=apparmor" in engine.request("GET", "/info")[1]["SecurityOptions"]


def test_a_privileged_one_and_one_that_says_so_have_none(engine: Engine) -> None:
    for host in ({"Privileged": True}, {"SecurityOpt": ["apparmor=unconfined"]}):
        container = engine.run("cat", OWN, HostConfig={"NetworkMode": "none", **host})
        code = engine.wait(container)
        assert (code, output(engine, container).strip()) == (0, b"unconfined")
        assert engine.inspect(container)["AppArmorProfile"] == "unconfined"


def test_a_profile_that_is_not_loaded_is_an_error(engine: Engine) -> None:
    host = {"NetworkMode": "none", "SecurityOpt": ["apparmor=not-there"]}
    container = engine.create("true", HostConfig=host)
    status, answer = engine.request("POST", f"/containers/{container}/start")
    assert status != 204
    assert "label" in answer["message"]


def test_the_profile_forbids_mounts_even_to_who_has_the_capability(engine: Engine) -> None:
    for more, code in (([], 1), (["apparmor=unconfined"], 0)):
        host = {"CapAdd": ["SYS_ADMIN"], "SecurityOpt": ["seccomp=unconfined", *more]}
        container = engine.run(
            "mount", "-t", "tmpfs", "none", "/tmp", HostConfig={"NetworkMode": "none", **host}
        )
        assert bool(engine.wait(container)) == bool(code), output(engine, container)


def test_exec_and_a_small_init_are_confined_too(engine: Engine) -> None:
    host = {"NetworkMode": "none", "Init": True}
    container = engine.run("sleep", "100", HostConfig=host)
    command = ["cat", OWN, "/proc/1/attr/apparmor/current"]
    body = {"Cmd": command, "AttachStdout": True, "AttachStderr": True, "Tty": True}
    made = engine.request("POST", f"/containers/{container}/exec", body)[1]["Id"]
    sock, _, rest = engine.hijack(f"/exec/{made}/start", {"Tty": True})
    while chunk := sock.recv(4096):
        rest += chunk
    sock.close()
    assert rest.decode().split("\r\n") == [CONFINED, CONFINED, ""]


def test_stop_reaches_a_confined_process(engine: Engine) -> None:
    container = engine.run("sh", "-c", "trap 'exit 7' TERM; while :; do sleep 1 & wait; done")
    assert engine.request("POST", f"/containers/{container}/stop")[0] == 204
    assert engine.inspect(container)["State"]["ExitCode"] == 7


def test_a_container_signals_its_own_processes(engine: Engine) -> None:
    assert said(engine, "sh", "-c", "sleep 9 & kill -9 $!; wait $! 2>/dev/null; echo $?") == "137"
