"""Streams whose clients go away, and the reservation of a start that was cut short."""

import asyncio
import concurrent.futures
import io
import json
import signal
import socket
import sqlite3
import tarfile
import time
import urllib.parse
from typing import Any

import aiohttp
import pytest

from sampan.spec import docker_stream
from tests.dockerapi.test_images import layout
from tests.engine_process import PATIENCE, Engine, head, read_to_end

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
    engine.request("DELETE", f"/containers/{container}?force=1")


def test_what_goes_wrong_in_a_stream_cuts_it_off(engine: Engine) -> None:
    """No second answer in the middle of the first: the body has no end, and clients see that."""
    container = engine.run("sleep", "1000")
    with engine.connect() as sock:  # files of /proc vanish while they are packed
        path = f"/containers/{container}/archive?path=/proc"
        sock.sendall(head("GET", path, None, {"Connection": "close"}))
        received = read_to_end(sock)
    assert received.startswith(b"HTTP/1.1 200 OK")
    assert b"Could not find the file" not in received
    assert not received.endswith(b"0\r\n\r\n")
    engine.request("DELETE", f"/containers/{container}?force=1")


def test_a_websocket_is_attached(engine: Engine) -> None:
    async def body() -> None:
        connector = aiohttp.UnixConnector(engine.paths.api_socket)
        where = f"http://engine/containers/{container}/attach/ws"
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.ws_connect(f"{where}?stdin=1&stdout=1&stream=1") as socket:
                for sent in ("text\n", b"bytes\n"):
                    await (socket.send_str if isinstance(sent, str) else socket.send_bytes)(sent)
                    got = await socket.receive(PATIENCE)
                    assert (got.type, got.data) == (
                        aiohttp.WSMsgType.BINARY,
                        sent.encode() if isinstance(sent, str) else sent,
                    )
            async with session.ws_connect(f"{where}?logs=1&stdout=1") as socket:
                said = b"".join([message.data async for message in socket])
                assert said == b"text\nbytes\n"

    container = engine.run("cat", OpenStdin=True, AttachStdin=True)
    asyncio.run(body())
    engine.request("DELETE", f"/containers/{container}?force=1")


def test_everything_that_happens_is_told(engine: Engine) -> None:
    started = time.time()
    image, binds = "told:1", {"Binds": ["told:/data:ro"], "NetworkMode": "none"}
    container = engine.run("sleep", "1000", HostConfig=binds, Labels={"case": "told"})
    engine.request("GET", f"/containers/{container}/archive?path=/etc/passwd")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("new"))
    engine.request("PUT", f"/containers/{container}/archive?path=/", packed.getvalue())
    engine.request("DELETE", f"/containers/{container}?force=1")
    engine.request("POST", "/images/load", layout("base:1"))
    other = engine.create("true", Image="base:1", Labels={"case": "other"})
    engine.request("POST", f"/commit?container={other}&repo=told&tag=1&comment=why&pause=0")
    engine.request("DELETE", f"/containers/{other}")
    engine.request("GET", f"/images/{image}/get")
    for name in (image, "base:1"):
        engine.request("DELETE", f"/images/{name}")
    engine.request("DELETE", "/volumes/told")
    engine.request("POST", '/containers/prune?filters={"label":["nobody"]}')

    def told(**filters: list[str]) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode(
            {"since": started, "until": time.time(), "filters": json.dumps(filters)}
        )
        _, answer = engine.request("GET", f"/events?{query}")
        lines = answer.splitlines() if isinstance(answer, bytes) else [json.dumps(answer)]
        return [json.loads(line) for line in lines]

    def actions(**filters: list[str]) -> list[str]:
        return [event["Action"] for event in told(**filters)]

    expected = "create start archive-path extract-to-dir kill die destroy"
    assert actions(type=["container"], label=["case=told"]) == expected.split()
    assert actions(volume=["told"]) == ["create", "mount", "unmount", "destroy"]
    images = ["load", "tag", "save", "untag", "delete", "untag", "delete"]
    assert actions(type=["image"]) == images
    assert actions(type=["container"], event=["prune"]) == ["prune"]
    (mounted,) = told(type=["volume"], event=["mount"])
    about = mounted["Actor"]["Attributes"]
    assert (about["container"], about["read/write"], about["destination"]) == (
        container,
        "false",
        "/data",
    )
    (commit,) = told(event=["commit"])
    about = commit["Actor"]["Attributes"]
    assert (about["comment"], about["imageRef"], about["case"]) == ("why", image, "other")


def test_what_is_no_http_is_refused_and_logged_in_a_line(engine: Engine) -> None:
    with engine.connect() as sock:
        sock.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\nBad: \0\r\n\r\n")
        assert read_to_end(sock).startswith(b"HTTP/1.0 400 ")
    assert "a request that is no HTTP: " in engine.log()
    assert "Traceback" not in engine.log()
