"""docker exec: further processes beside PID 1."""

from __future__ import annotations

import os
import signal

import pytest

from sampan.linux import unix
from sampan.shim import protocol
from tests.shim.conftest import oci_config
from tests.shim.engine import Client


@pytest.fixture
def container(start):
    return start(["sleep", "1000"])


def test_streams_and_exit_code(container) -> None:
    client = Client(stdout=True, stderr=True)
    answer = container.exec(["sh", "-c", "echo out; echo err >&2; exit 5"], client, exec_id="e")
    assert answer["event"] == "started"
    assert client.read_streams() == {1: b"out\n", 2: b"err\n"}
    assert container.event("exec_exit") == protocol.exec_exit("e", 5)
    assert os.path.getsize(container.log) == 0


def test_stdin_ends_with_the_client(container) -> None:
    client = Client(stdin=True, stdout=True)
    container.exec(["cat"], client, exec_id="e", stdin=True)
    client.send(b"through")
    client.half_close()
    assert client.read_streams()[1] == b"through"
    assert container.event("exec_exit")["exit_code"] == 0


def test_a_terminal_of_its_own(container) -> None:
    client = Client(tty=True, stdin=True, stdout=True, detach_keys="ctrl-a,x")
    container.exec(["sh"], client, exec_id="e", stdin=True, tty=True, size=(10, 20))
    client.send(b"stty size\n")
    client.read_until(b"10 20\r\n")
    assert container.ask(protocol.resize(3, 4, "e")) == {"ok": True}
    client.send(b"stty size\n")
    client.read_until(b"3 4\r\n")
    client.send(b"\x01x")
    client.read_all()
    assert container.event("detach")["exec_id"] == "e"


def test_detached_output_goes_nowhere_and_the_signal_is_told(container) -> None:
    script = "head -c 1000000 /dev/zero; kill -KILL $$"
    assert container.exec(["sh", "-c", script], exec_id="e")["event"] == "started"
    assert container.event("exec_exit") == protocol.exec_exit("e", 137)


def test_a_command_that_is_not_there(container) -> None:
    client = Client(stdout=True)
    answer = container.exec(["nonsense"], client, exec_id="e")
    assert (answer["kind"], answer["code"]) == ("NotFound", 127)
    assert client.read_all() == b""
    assert container.exec(["true"], exec_id="e")["event"] == "started"


def test_running_execs_are_listed_and_end_with_the_container(container) -> None:
    pid = container.exec(["sleep", "1000"], exec_id="e")["pid"]
    sock = container.connect()
    unix.send(sock, protocol.subscribe())
    state, _ = unix.receive(sock)
    assert state["execs"] == {"e": pid} and state["pid"] == container.pid
    container.ask(protocol.kill(signal.SIGKILL))
    assert unix.receive(sock)[0] == protocol.exec_exit("e", 137)
    assert unix.receive(sock)[0]["event"] == "exit"
    sock.close()


def test_exit_codes_are_told_again_to_a_new_engine(container) -> None:
    container.exec(["false"], exec_id="e")
    container.event("exec_exit")
    container.connection.close()
    sock = container.connect()
    unix.send(sock, protocol.subscribe())
    assert unix.receive(sock)[0]["event"] == "state"
    assert unix.receive(sock)[0] == protocol.exec_exit("e", 1)
    sock.close()


def test_the_personality_of_the_container_is_the_execs_too(start) -> None:
    config = oci_config(["sleep", "1000"])
    config["linux"]["personality"] = {"domain": "LINUX32"}
    container = start([], config=config)
    client = Client(stdout=True, stderr=True)
    answer = container.exec(["cat", "/proc/self/personality"], client, exec_id="e")
    assert answer["event"] == "started"
    assert client.read_streams()[1] == b"00000008\n"
