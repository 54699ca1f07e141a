"""Streams whose clients go away, and the reservation of a start that was cut short."""

import concurrent.futures
import json
import signal
import socket
import sqlite3

import pytest

from sampan.spec import docker_stream
from tests.engine_process import Engine, head, read_to_end

pytestmark = pytest.mark.needs("mount")


def test_events_arrive_while_they_happen(engine: Engine) -> None:
    with engine.connect() as sock:
        sock.sendall(head("GET", '/events?filters={"event":["create"]}', None, {}))
        received = sock.recv(4096)
        assert received.startswith(b"HTTP/1.1 200 OK")
        container = engine.create("true")
        while b"\n}" not in received and b'"scope"' not in received:
            received += sock.recv(4096)
    line = received[received.index(b"{") : received.rindex(b"}") + 1]
    assert json.loads(line)["Actor"]["ID"] == container
    assert engine.request("DELETE", f"/containers/{container}")[0] == 204


def test_a_follower_that_vanishes_leaves_nothing_open(own_engine: Engine) -> None:
    import os

    container = own_engine.run("sleep", "100")
    assert own_engine.process is not None
    fds = f"/proc/{own_engine.process.pid}/fd"

    def follow_and_leave() -> None:
        with own_engine.connect() as sock:
            path = f"/containers/{container}/logs?follow=1&stdout=1"
            sock.sendall(head("GET", path, None, {}))
            assert sock.recv(4096).startswith(b"HTTP/1.1 200")

    follow_and_leave()
    own_engine.request("GET", "/_ping")
    before = len(os.listdir(fds))
    for _ in range(20):
        follow_and_leave()
    for _ in range(100):  # each answer gives the engine's loop a turn
        own_engine.request("GET", "/_ping")
        if len(os.listdir(fds)) <= before:
            break
    assert len(os.listdir(fds)) <= before


def test_an_address_of_a_start_cut_short_is_free_again(own_engine: Engine) -> None:
    container = own_engine.create("true", HostConfig={"NetworkMode": "bridge"})
    own_engine.stop(signal.SIGKILL)
    db = sqlite3.connect(own_engine.paths.database)
    try:
        db.execute(
            "insert into endpoints (id, container_id, network_id, address, settings)"
            " select 'x', ?, id, '10.9.9.9', '{}' from networks"
            " where name = 'bridge'",
            (container,),
        )
        db.commit()
    finally:
        db.close()
    own_engine.start()
    found = own_engine.inspect(container)["NetworkSettings"]["Networks"]["bridge"]
    assert found["IPAddress"] == ""


def test_sigterm_ends_the_engine_at_once_and_cleanly(own_engine: Engine) -> None:
    with own_engine.connect() as sock:
        sock.sendall(head("GET", "/events", None, {}))
        sock.recv(4096)
        assert own_engine.stop(signal.SIGTERM) == 0
    assert "Traceback" not in own_engine.log()
    own_engine.start()


def send_at_once(engine: Engine, path: str, body: object, data: bytes) -> bytes:
    """A client that does not wait for our 101: request, data and the end of it in one write."""
    headers = {"Connection": "Upgrade", "Upgrade": "tcp"}
    sock = engine.connect()
    with sock:
        sock.sendall(head("POST", path, body, headers) + data)
        sock.shutdown(socket.SHUT_WR)
        answer, _, rest = read_to_end(sock).partition(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101 UPGRADED"), answer
    frames = docker_stream.FrameDecoder().feed(rest)
    return b"".join(frame.payload for frame in frames)


def test_what_is_sent_before_our_101_reaches_stdin(engine: Engine) -> None:
    data = b"first\n" + b"line of many\n" * 20_000
    container = engine.create("cat", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    query = "stream=1&stdin=1&stdout=1"
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        path = f"/v1.51/containers/{container}/attach?{query}"
        received = pool.submit(send_at_once, engine, path, None, data)
        assert engine.request("POST", f"/containers/{container}/start")[0] == 204
        assert received.result(20) == data
    engine.request("DELETE", f"/containers/{container}?force=1")


def test_what_is_sent_before_an_execs_101_reaches_stdin(engine: Engine) -> None:
    container = engine.run("sleep", "1000")
    config = {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True}
    made = engine.request("POST", f"/containers/{container}/exec", config)[1]["Id"]
    data = b"x" * 100_000
    assert send_at_once(engine, f"/v1.51/exec/{made}/start", {"Detach": False}, data) == data
    engine.request("DELETE", f"/containers/{container}?force=1")


def test_a_resize_may_come_before_the_start_of_its_exec(engine: Engine) -> None:
    """Clients send both at once."""
    container = engine.run("sleep", "100")
    wanted = 'until [ "$(stty size)" = "33 44" ]; do usleep 9000; done'
    config = {"Cmd": ["sh", "-c", wanted], "Tty": True, "AttachStdin": True, "AttachStdout": True}
    made = engine.request("POST", f"/containers/{container}/exec", config)[1]["Id"]
    with engine.connect() as resizing:
        asked = head("POST", f"/exec/{made}/resize?h=33&w=44", None, {"Connection": "close"})
        resizing.sendall(asked)
        body = {"Detach": False, "Tty": True}
        assert engine.request("POST", f"/exec/{made}/start", body)[0] in (101, 200)
        assert b" 200 OK" in read_to_end(resizing)
    assert engine.request("GET", f"/exec/{made}/json")[1]["ExitCode"] == 0
