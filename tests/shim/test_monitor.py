"""Containers as the engine sees them: started, attached to, and how they end."""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest

from sampan.linux import cgroup, unix
from sampan.shim import exit_record, protocol
from sampan.spec import docker_stream
from tests.shim.conftest import oci_config
from tests.shim.engine import Client, eventually, gone


def logged(container) -> list[tuple[str, str]]:
    with open(container.log) as file:
        return [(r["stream"], r["log"]) for r in map(json.loads, file)]


def test_output_goes_to_the_log_and_to_clients_by_stream(begin) -> None:
    clients = [Client(stdout=True, stderr=True), Client(stderr=True)]
    container = begin(["sh", "-c", "echo out; echo err >&2; exit 3"], *clients)
    container.wait_started()
    assert clients[0].read_streams() == {1: b"out\n", 2: b"err\n"}
    assert clients[1].read_streams() == {1: b"", 2: b"err\n"}
    ended = container.wait_exit()
    assert (ended["exit_code"], ended["signal"], ended["oom_killed"]) == (3, None, False)
    assert sorted(logged(container)) == [("stderr", "err\n"), ("stdout", "out\n")]


def test_the_exit_record_says_what_the_event_said(start) -> None:
    container = start(["sh", "-c", "kill -9 $$; kill -TERM $$; exec sleep 1000"])
    assert container.ask(protocol.kill(signal.SIGKILL)) == {"ok": True}
    ended = container.wait_exit()
    assert (ended["exit_code"], ended["signal"]) == (137, 9)
    record = exit_record.read(container.bundle)
    assert record is not None and {"event": "exit", **record.message()} == ended
    assert record.started_at == container.started["started_at"] < record.exited_at


def test_stdin_ends_when_its_only_client_half_closes(start) -> None:
    client = Client(stdin=True, stdout=True)
    container = start(["cat"], client, stdin=True, stdin_once=True)
    sent = os.urandom(300_000)
    half = len(sent) // 2
    sender = threading.Thread(
        target=lambda: (client.send(sent[:half]), client.send(sent[half:]), client.half_close())
    )
    sender.start()
    assert client.read_streams()[1] == sent
    sender.join()
    assert container.wait_exit()["exit_code"] == 0


def test_stdin_stays_open_for_the_next_client_unless_once(start) -> None:
    first = Client(stdin=True, stdout=True)
    container = start(["cat"], first, stdin=True)
    first.send(b"one\n")
    first.read_until(b"one\n")
    first.half_close()
    second = Client(stdin=True, stdout=True)
    container.attach(second)
    second.send(b"two\n")
    second.read_until(b"two\n")
    first.read_until(b"two\n")
    assert container.ask(protocol.close_stdin()) == {"ok": True}
    assert container.wait_exit()["exit_code"] == 0


def test_without_stdin_the_container_reads_an_end_at_once(start) -> None:
    client = Client(stdin=True, stdout=True)
    container = start(["sh", "-c", "cat; echo done"], client)
    assert client.read_streams()[1] == b"done\n"
    assert container.wait_exit()["exit_code"] == 0


def test_a_terminal_has_its_size_and_is_raw_for_clients(start) -> None:
    client = Client(tty=True, stdin=True, stdout=True)
    container = start(["sh"], client, tty=True, stdin=True, size=(10, 20))
    client.send(b"stty size\n")
    client.read_until(b"10 20\r\n")
    assert container.ask(protocol.resize(33, 44)) == {"ok": True}
    client.send(b"stty size\n")
    client.read_until(b"33 44\r\n")
    client.send(b"exit 7\n")
    client.read_all()
    assert container.wait_exit()["exit_code"] == 7


def test_all_of_a_terminals_last_output_arrives(start) -> None:
    for _ in range(5):
        client = Client(tty=True, stdout=True)
        container = start(["seq", "2000"], client, tty=True)
        assert client.read_all() == b"".join(b"%d\r\n" % n for n in range(1, 2001))
        container.wait_exit()
        assert len(logged(container)) == 2000


def test_detach_keys_end_the_session_and_not_the_container(start) -> None:
    client = Client(tty=True, stdin=True, stdout=True, detach_keys="ctrl-p,ctrl-q")
    container = start(["cat"], client, tty=True, stdin=True, stdin_once=True)
    client.send(b"hello\n\x10")
    client.read_until(b"hello\r\nhello\r\n")
    client.send(b"\x11")
    client.read_all()
    assert container.event("detach")["exec_id"] is None
    again = Client(tty=True, stdin=True, stdout=True)
    container.attach(again)
    again.send(b"still here\n")
    again.read_until(b"still here\r\nstill here\r\n")


def test_a_slow_client_holds_the_container_and_loses_nothing(start) -> None:
    size = 4_000_000
    slow, fast = Client(stdout=True), Client(stdout=True)
    container = start(["sh", "-c", f"yes | head -c {size}; echo end >&2"], slow, fast)
    fast.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        fast.read_all()
    assert len(fast.received) < size
    fast.sock.settimeout(10)
    reader = threading.Thread(target=fast.read_all)
    reader.start()
    assert len(slow.read_streams()[1]) == size
    reader.join()
    frames = docker_stream.FrameDecoder().feed(fast.received)
    assert sum(len(frame.payload) for frame in frames) == size
    assert container.wait_exit()["exit_code"] == 0


def test_a_client_that_vanishes_holds_nobody(start) -> None:
    lost = Client(stdout=True, stdin=True)
    container = start(["sh", "-c", "yes | head -c 3000000"], lost, stdin=True)
    lost.sock.close()
    assert container.wait_exit()["exit_code"] == 0


def test_a_client_that_never_reads_does_not_hold_up_the_exit(start) -> None:
    silent = Client(stdout=True)
    container = start(["sh", "-c", "head -c 100000 /dev/zero"], silent)
    assert unix.receive(container.connection)[0]["event"] == "exit"
    silent.sock.close()


@pytest.mark.parametrize(
    ("args", "kind", "code", "message"),
    [
        (["nonsense"], "NotFound", 127, 'exec: "nonsense": executable file not found in $PATH'),
        (["/etc"], "InvalidArgument", 126, 'exec: "/etc": '),
    ],
)
def test_a_command_that_cannot_run_is_an_error_and_leaves_nothing(
    begin, args: list[str], kind: str, code: int, message: str
) -> None:
    container = begin(args)
    error = container.event("error")
    assert (error["kind"], error["code"]) == (kind, code)
    assert message in error["message"]
    assert unix.receive(container.connection)[0] is None
    assert not os.path.exists(container.paths.monitor_socket(container.id))
    assert not exit_record.read(container.bundle)


def test_a_wrong_config_is_refused_by_name(begin) -> None:
    config = oci_config(["true"])
    config["mounts"].append({"destination": "/x", "type": "nonsensefs", "source": "x"})
    assert "/x" in begin([], config=config).event("error")["message"]


def test_the_network_is_set_up_before_the_command_runs(begin) -> None:
    client = Client(stdout=True)
    container = begin(["ls", "/proc/self/ns/net"], client, network=True)
    message, (namespace,) = unix.receive(container.connection)
    assert message["event"] == "created"
    theirs = os.stat(f"/proc/{message['pid']}/ns/net")
    assert os.fstat(namespace).st_ino == theirs.st_ino != os.stat("/proc/self/ns/net").st_ino
    os.close(namespace)
    unix.send(container.connection, protocol.go())
    container.wait_started()
    client.read_all()
    container.wait_exit()


def test_an_engine_that_goes_before_go_leaves_nothing(begin) -> None:
    container = begin(["sleep", "1000"], network=True)
    pid = container.event("created")["pid"]
    container.connection.close()
    assert gone(pid)
    assert eventually(lambda: not os.path.exists(container.paths.monitor_socket(container.id)))


def test_a_monitor_that_is_killed_before_go_leaves_no_process(begin) -> None:
    """Its cgroup is left to the engine: nobody else is outside of it."""
    container = begin(["sleep", "1000"], network=True)
    pid = container.event("created")["pid"]
    with open(f"/proc/{pid}/stat") as file:
        monitor = int(file.read().rpartition(")")[2].split()[1])
    os.kill(monitor, signal.SIGKILL)
    assert gone(monitor)
    assert unix.receive(container.connection) == (None, [])
    assert gone(pid)
    cgroup.manager(f"{container.paths.cgroup_parent}/{container.id}").delete()


def test_requests_that_make_no_sense_get_an_error(start) -> None:
    container = start(["sleep", "1000"])
    assert "nonsense" in container.ask({"op": "nonsense"})["message"]
    assert container.ask(protocol.resize(1, 1))["kind"] == "Conflict"
    assert container.ask({"op": "attach"})["kind"] == "InvalidArgument"


def test_a_process_is_called_by_its_container(start) -> None:
    container = start(["sleep", "1000"])
    with open(f"/proc/{container.monitor_pid()}/cmdline") as file:
        assert file.read().rstrip("\0") == f"sampan-monitor: {container.id}"
