"""Builds that do not end well: a client that goes away, an engine that is killed. And pruning."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.dockerapi.test_build import START, build, made, packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")


def step(script: str, flags: str = "") -> str:
    return f"RUN {flags} {json.dumps(['/bin/busybox', 'sh', '-c', script])}\n"


LONG = step("echo begun; exec /bin/busybox sleep 1000", "--mount=type=secret,id=s")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def begun(engine: Engine, dockerfile: str, query: str = "") -> socket.socket:
    """A build whose last step runs; closing the socket is the client's going away."""
    body = packed(dockerfile, {})
    sock = engine.connect()
    head = f"POST /v1.41/build?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body)
    heard = b""
    while b"begun" not in heard.replace(b"echo begun", b""):
        part = sock.recv(1 << 16)
        assert part, heard
        heard += part
    return sock


def containers(engine: Engine) -> list[str]:
    return [one["Id"] for one in engine.request("GET", "/containers/json?all=1")[1]]


def left(engine: Engine) -> list[str]:
    found = []
    for place in (f"{engine.paths.root}/build/tmp", f"{engine.paths.run}/build"):
        found += os.listdir(place) if os.path.isdir(place) else []
    with open("/proc/self/mountinfo") as table:
        found += [line for line in table if f"{engine.paths.root}/build/tmp" in line]
    return found


def test_a_client_that_goes_away_leaves_nothing(engine: Engine) -> None:
    before = containers(engine)
    bound = START.replace("scratch", "scratch AS one") + START
    bound += LONG.replace("--mount", "--mount=from=one,target=/one --mount", 1)
    begun(engine, bound).close()
    until(lambda: containers(engine) == before)
    until(lambda: left(engine) == [])


def test_a_failing_stage_ends_the_others(engine: Engine) -> None:
    """The one that fails does so when the other runs; that one would never end."""
    cache = "--mount=type=cache,id=failing,target=/m"
    dockerfile = (
        START.replace("scratch", "scratch AS one")
        + step("echo > /m/runs; exec /bin/busybox sleep 1000", cache)
        + START.replace("scratch", "scratch AS two")
        + step(
            "until /bin/busybox test -e /m/runs; do /bin/busybox usleep 9000; done; exit 7", cache
        )
        + "FROM scratch\nCOPY --from=one /bin /one\nCOPY --from=two /bin /two\n"
    )
    before = containers(engine)
    _, messages = build(engine, packed(dockerfile, {}))
    assert "non-zero code: 7" in messages[-1]["error"]
    assert containers(engine) == before


def test_after_a_kill_the_next_build_goes_on(own_engine: Engine) -> None:
    engine = own_engine
    first = step("echo made > /made")
    sock = begun(engine, START + first + LONG)
    engine.stop(signal.SIGKILL)
    sock.close()
    engine.start()
    assert containers(engine) == []
    assert left(engine) == []
    text, messages = build(engine, packed(START + first, {}))
    assert text.count("Using cache") == 2, messages
    assert made(messages)


def test_what_is_kept_can_be_seen_and_forgotten(own_engine: Engine) -> None:
    engine = own_engine
    dockerfile = START + step("echo > /c/x", "--mount=type=cache,id=mine,target=/c")
    build(engine, packed(dockerfile, {}), "t=kept:1")

    def kept() -> dict[str, tuple[str, bool]]:
        found = engine.request("GET", "/system/df?type=build-cache")[1]["BuildCache"]
        return {one["Description"]: (one["Type"], one["Shared"]) for one in found}

    assert kept() == {
        "COPY busybox /bin/busybox": ("regular", True),
        dockerfile.splitlines()[2]: ("regular", True),
        "cache mount mine": ("exec.cachemount", False),
    }
    limits = ("keep-storage=100000000", "max-used-space=100000000", "min-free-space=1")
    for query in ('filters={"until":["1h"]}', *limits):
        assert engine.request("POST", f"/build/prune?{query}")[1]["CachesDeleted"] is None, query
    pruned = engine.request("POST", "/build/prune")[1]
    assert len(pruned["CachesDeleted"]) == 1
    assert pruned["SpaceReclaimed"] == 1
    assert "cache mount mine" not in kept()
    assert len(engine.request("POST", "/build/prune?all=1")[1]["CachesDeleted"]) == 2
    assert kept() == {}
    text, _ = build(engine, packed(dockerfile, {}))
    assert "Using cache" not in text
