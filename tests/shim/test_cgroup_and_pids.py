"""What a monitor does with the container's cgroup, and with processes that are not PID 1."""

from __future__ import annotations

import json

from sampan.linux import cgroup, unix
from sampan.shim import protocol
from tests.shim.conftest import oci_config
from tests.shim.engine import Client, gone


def test_the_oom_killer_is_told_and_remembered(begin) -> None:
    config = oci_config(["dd", "if=/dev/zero", "of=/dev/null", "bs=200000000", "count=1"])
    config["linux"]["resources"] = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
    container = begin([], config=config)
    container.wait_started()
    ended = container.wait_exit()
    assert (ended["exit_code"], ended["signal"], ended["oom_killed"]) == (137, 9, True)


def test_an_oom_that_pid_1_survives_is_an_event(begin) -> None:
    config = oci_config(["sh", "-c", "dd if=/dev/zero of=/dev/null bs=200000000; sleep 1000"])
    config["linux"]["resources"] = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
    container = begin([], config=config)
    container.wait_started()
    container.event("oom")
    container.ask(protocol.kill(9))
    assert container.wait_exit()["oom_killed"]


def test_without_a_pid_namespace_the_rest_of_the_cgroup_is_killed(begin) -> None:
    client = Client(stdout=True)
    config = oci_config(["sh", "-c", "sleep 1000 & echo $!"])
    config["linux"]["namespaces"] = [
        item for item in config["linux"]["namespaces"] if item["type"] != "pid"
    ]
    container = begin([], client, config=config)
    container.wait_started()
    orphan = int(client.read_streams()[1])
    assert container.wait_exit()["exit_code"] == 0
    assert gone(orphan)


def test_a_frozen_container_does_not_stop_its_monitor(start) -> None:
    container = start(["sleep", "1000"])
    group = cgroup.manager(f"{container.paths.cgroup_parent}/{container.id}")
    group.freeze()
    sock = container.connect()
    process = {"args": ["true"], "cwd": "/", "env": ["PATH=/bin"]}
    unix.send(sock, protocol.Exec(exec_id="e", process=process).message())
    assert container.ask(protocol.resize(1, 1))["kind"] == "Conflict"
    group.thaw()
    assert unix.receive(sock)[0]["event"] == "started"
    assert container.event("exec_exit")["exit_code"] == 0
    sock.close()


def test_init_forwards_signals_and_leaves_as_the_command_does(start) -> None:
    client = Client(stdout=True)
    script = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.01; done"
    container = start(["sh", "-c", script], client, init=True)
    client.read_until(b"ready")
    container.ask(protocol.kill(15))
    assert container.wait_exit()["exit_code"] == 9


def test_heirs_of_an_exec_may_finish_their_output(start) -> None:
    """The exec's process ends first; what it left running still has its client."""
    container = start(["sleep", "1000"])
    client = Client(stdout=True)
    container.exec(["sh", "-c", "(sleep 0.1; echo later) & echo now"], client, exec_id="e")
    assert container.event("exec_exit")["exit_code"] == 0
    assert client.read_streams()[1] == b"now\nlater\n"


def test_log_records_have_the_order_of_each_stream(start) -> None:
    container = start(["sh", "-c", "for i in 1 2 3; do echo o$i; echo e$i >&2; done"])
    container.wait_exit()
    with open(container.log) as file:
        found = [json.loads(line) for line in file]
    for stream, letter in (("stdout", "o"), ("stderr", "e")):
        assert [r["log"] for r in found if r["stream"] == stream] == [
            f"{letter}{n}\n" for n in (1, 2, 3)
        ]
