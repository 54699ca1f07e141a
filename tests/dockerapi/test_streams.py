"""Streams whose clients go away, and the reservation of a start that was cut short."""

import json
import signal
import sqlite3

import pytest

from tests.engine_process import Engine, head

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
            "insert into endpoints select 'x', ?, id, '10.9.9.9', '', '{}' from networks"
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
