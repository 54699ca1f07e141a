"""`RUN --mount`, `--network`, `--security`: what a step sees, and what stays nowhere."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.dockerapi.test_build import START, build, made, packed
from tests.dockerapi.test_build_endings import begun, containers, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount")

SECRET = "hush-4711"


def step(flags: str, script: str) -> str:
    return f"RUN {flags} {json.dumps(['/bin/busybox', 'sh', '-c', script])}\n"


def keep(engine: Engine, **values: str) -> str:
    body = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
    status, answer = engine.request("POST", "/sampan/build/secrets", body)
    assert status == 200
    return f"secrets={answer['Token']}"


def test_a_secret_is_seen_by_its_step_and_stays_nowhere(engine: Engine) -> None:
    show = "/bin/busybox stat -c %a:%u /run/secrets/token && "
    show += "/bin/busybox test $(/bin/busybox wc -c < /s) = 9 && /bin/busybox test $E = x"
    mounts = "--mount=type=secret,id=token --mount=type=secret,id=token,target=/s,mode=0444,uid=7"
    dockerfile = START + step(f"{mounts} --mount=type=secret,id=other,env=E", show)
    text, messages = build(engine, packed(dockerfile, {}), keep(engine, token=SECRET, other="x"))
    assert "400:0\n" in text, messages
    image = engine.request("GET", f"/images/{made(messages)}/json")[1]
    assert image["Config"]["Env"] == ["PATH=" + image["Config"]["Env"][0][5:]]
    container = engine.run("/bin/busybox", "ls", "/run", "/s", Image=made(messages))
    assert engine.wait(container) == 1, "a mount point stayed in the image"
    engine.request("DELETE", f"/containers/{container}?force=1")
    found = subprocess.run(
        ["grep", "-rlF", SECRET, engine.paths.root, engine.paths.run],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.stdout == ""
    assert SECRET not in engine.log()
    # Another value makes no other result: the step is not done again.
    text, _ = build(engine, packed(dockerfile, {}), keep(engine, token="other", other="y"))
    assert text.count("Using cache") == 2


def test_a_secret_of_the_environment_is_in_no_row_while_its_step_runs(engine: Engine) -> None:
    show = "/bin/busybox test ${#E} = 9 && echo begun; exec /bin/busybox sleep 1000"
    dockerfile = START + step("--mount=type=secret,id=s,env=E", show)
    before = containers(engine)
    with begun(engine, dockerfile, keep(engine, s="hush-4712")):
        (container,) = set(containers(engine)) - set(before)
        assert "hush-4712" not in json.dumps(engine.inspect(container))
        places = [engine.paths.root, engine.paths.container_run(container)]
        words = ["grep", "-rlF", "hush-4712", *places]
        assert subprocess.run(words, capture_output=True, text=True).stdout == ""
    until(lambda: containers(engine) == before)


def test_a_secret_that_nobody_gave_is_no_mount(engine: Engine) -> None:
    dockerfile = START + step("--mount=type=secret,id=x", "! /bin/busybox test -e /run/secrets/x")
    assert made(build(engine, packed(dockerfile, {}))[1])


def test_a_step_has_the_agents_socket(engine: Engine, tmp_path: Path) -> None:
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(path)
        agent.listen()
        look = "/bin/busybox stat -c %n:%F:%a:%u $SSH_AUTH_SOCK"
        dockerfile = START + step("--mount=type=ssh,uid=7,mode=0660", look)
        query = "agents=" + quote(json.dumps({"default": path}))
        text, messages = build(engine, packed(dockerfile, {}), query)
    assert "/run/buildkit/ssh_agent.0:socket:660:7\n" in text, messages


def test_bind_mounts_show_the_context_a_stage_and_an_image(engine: Engine) -> None:
    show = "/bin/busybox cat /ctx/a /one/made && ! /bin/busybox touch /ctx/x"
    rw = "/bin/busybox echo more > /one/new && /bin/busybox touch /ctx/new"
    dockerfile = (
        START.replace("scratch", "scratch AS one")
        + step("", "/bin/busybox mkdir /dir && echo made > /dir/made")
        + START
        + step("--mount=target=/ctx --mount=from=one,source=dir,target=/one", show)
        + step("--mount=target=/ctx,rw --mount=from=one,source=/dir,target=/one,rw", rw)
        + step("--mount=from=one,source=/dir/made,target=/single", "/bin/busybox cat /single")
        + "COPY --from=one /dir /out\n"
    )
    text, messages = build(engine, packed(dockerfile, {"a": "from the context\n"}), "t=bound:1")
    assert "from the context\nmade\n" in text, messages
    assert made(messages)
    container = engine.run("/bin/busybox", "ls", "/", "/out", Image="bound:1")
    engine.wait(container)
    logs = engine.request("GET", f"/containers/{container}/logs?stdout=1")[1]
    assert not {b"ctx", b"one", b"single", b"new"} & set(logs.split())
    engine.request("DELETE", f"/containers/{container}?force=1")
    text, _ = build(engine, packed(dockerfile, {"a": "changed\n"}))
    assert "changed\nmade\n" in text, "the bound files are no part of the key"


def test_one_cache_twice_in_a_step_is_one_cache(engine: Engine) -> None:
    """A lock that the step has itself must not be waited for."""
    twice = "--mount=type=cache,id=twice,target=/a,sharing=locked "
    twice += "--mount=type=cache,id=twice,target=/b"
    dockerfile = START + step(twice, "echo x > /a/x && /bin/busybox cat /b/x")
    text, messages = build(engine, packed(dockerfile, {}))
    assert "x\n" in text, messages


def test_a_script_runs_by_its_own_interpreter(engine: Engine) -> None:
    dockerfile = START + "RUN <<EOF\n#!/bin/busybox sh\necho script of $0\nEOF\n"
    text, messages = build(engine, packed(dockerfile, {}))
    assert "script of /dev/pipes/EOF\n" in text, messages


def test_the_hosts_network_is_allowed_by_who_builds(engine: Engine) -> None:
    dockerfile = START + step("--network=host", "/bin/busybox readlink /proc/self/ns/net")
    for query in ("allow=network.host&nocache=1", "networkmode=host&nocache=1"):
        text, messages = build(engine, packed(dockerfile, {}), query)
        assert os.readlink("/proc/self/ns/net") in text, messages
    status, answer = engine.request("POST", "/build?allow=network.all", packed(dockerfile, {}))
    assert (status, answer["message"][:31]) == (400, "unknown entitlement network.all")


def test_networks_and_privileges_are_a_steps_own(engine: Engine) -> None:
    links = "/bin/busybox ls /sys/class/net"
    dockerfile = START + step("--network=none", links)
    dockerfile += step("--security=insecure", "/bin/busybox grep CapEff /proc/self/status")
    text, messages = build(engine, packed(dockerfile, {}), "allow=security.insecure")
    assert "eth0" not in text
    assert "CapEff:\t000001ff" in text, messages


def test_the_layers_of_run_are_no_younger_than_source_date_epoch(engine: Engine) -> None:
    dockerfile = "ARG SOURCE_DATE_EPOCH=86400\n" + START + step("", "/bin/busybox touch /new")
    ids = {made(build(engine, packed(dockerfile, {}), "nocache=1")[1]) for _ in range(2)}
    assert len(ids) == 1


def test_the_cache_of_an_image_is_its_history(engine: Engine) -> None:
    dockerfile = START + "ENV A=b\n" + step("", "/bin/busybox touch /one")
    build(engine, packed(dockerfile, {}), "t=source:1")
    more = dockerfile + step("", "/bin/busybox touch /two")
    there, nowhere = quote('["source:1"]'), quote('["nowhere:1"]')
    assert build(engine, packed(more, {}), f"cachefrom={there}")[0].count("Using cache") == 3
    assert build(engine, packed(more, {}), f"cachefrom={nowhere}")[0].count("Using cache") == 0


def test_independent_stages_run_at_the_same_time(engine: Engine) -> None:
    """Each of the two waits for the other: one after the other they would never end."""
    cache = "--mount=type=cache,id=meeting,target=/m"
    wait = "echo > /m/{0}; until /bin/busybox test -e /m/{1}; do /bin/busybox usleep 9000; done"
    dockerfile = (
        START.replace("scratch", "scratch AS one") + step(cache, wait.format("one", "two"))
        + START.replace("scratch", "scratch AS two") + step(cache, wait.format("two", "one"))
        + "FROM scratch\nCOPY --from=one /bin /one\nCOPY --from=two /bin /two\n"
    )  # fmt: skip
    text, messages = build(engine, packed(dockerfile, {}))
    assert made(messages)
    numbers = [line.split()[1] for line in text.splitlines() if line.startswith("Step ")]
    assert numbers == [f"{n}/9" for n in range(1, 10)], "one stage is told after the other"


def test_warnings_come_at_the_end_and_may_end_the_build(engine: Engine) -> None:
    text, _ = build(engine, packed(START + "CMD x\n", {}))
    assert "1 warning found" in text
    assert text.index("JSONArgsRecommended: ") > text.index("Step 3/3")
    status, answer = engine.request(
        "POST", "/build", packed("# check=error=true\n" + START + "CMD x\n", {})
    )
    assert status == 400
    assert answer["message"].endswith("lint violation found for rules: JSONArgsRecommended")


def test_a_cache_is_another_one_for_another_owner_or_beginning(engine: Engine) -> None:
    dockerfile = START.replace("scratch", "scratch AS first") + "COPY --chown=5:6 a /seed/a\n"
    dockerfile += START
    cache = "--mount=type=cache,id=by-owner,target=/c"
    look = "/bin/busybox ls -An /c; /bin/busybox touch /c/"
    for flags, name in (("", "zero"), (",uid=7", "seven"), (",from=first,source=/seed", "seeded")):
        dockerfile += step(cache + flags, f"{look}{name}") + step(cache + flags, f"{look}again")
    text, messages = build(engine, packed(dockerfile, {"a": "hello"}), "nocache=1")
    made(messages)
    names = [line.split() for line in text.splitlines() if line.startswith("-rw")]
    assert [f"{words[2]} {words[3]} {words[-1]}" for words in names] == [
        "0 0 zero", "0 0 seven", "5 6 a", "5 6 a", "0 0 seeded",
    ]  # fmt: skip
