"""The examples, run as a reader would."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from tests import etcd_server

from .conftest import IMAGE
from .programs import ROOT, Cli, Engine, until


@pytest.fixture
def etcd() -> Iterator[str]:
    with etcd_server.running() as url:
        yield url


def services(url: str) -> dict[str, dict[str, object]]:
    """Key → value of everything below /services/."""
    keys = {"key": b"/services/", "range_end": b"/services0"}
    body = {name: base64.b64encode(text).decode() for name, text in keys.items()}
    request = urllib.request.Request(f"{url}/v3/kv/range", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=5) as answer:
        found = json.load(answer).get("kvs", [])
    plain = [(base64.b64decode(kv["key"]).decode(), base64.b64decode(kv["value"])) for kv in found]
    return {key: json.loads(value) for key, value in plain}


@etcd_server.needed
def test_services_are_in_etcd_while_they_run(sampan: Cli, engine: Engine, etcd: str) -> None:
    program = str(ROOT / "examples/etcd_services.py")

    def run(name: str) -> str:
        options = ["--name", name, "--label", "service=web", "--expose", "80"]
        return f"/services/web/{sampan.run('-d', *options, IMAGE, 'sleep', '1000').stdout[:12]}"

    first = run("first")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, program, engine.socket, etcd]
    registrar = subprocess.Popen(command, env=environment)
    try:
        until(lambda: first in services(etcd))
        second = run("second")
        until(lambda: set(services(etcd)) == {first, second})
        where = sampan.text("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "second")
        assert services(etcd)[second] == {"addresses": {"bridge": where}, "ports": ["80/tcp"]}
        sampan("kill", "first")
        until(lambda: set(services(etcd)) == {second})
        sampan("start", "first")
        until(lambda: set(services(etcd)) == {first, second})
        sampan("rm", "-f", "first", "second")
        until(lambda: not services(etcd))
    finally:
        registrar.kill()
        registrar.wait()


@pytest.fixture
def sandbox(engine: Engine) -> Cli:
    program = [sys.executable, str(ROOT / "examples/sandbox.py")]
    return Cli(program, {"PYTHONPATH": str(ROOT / "src"), "DOCKER_HOST": engine.socket})


def test_a_sandbox_gives_input_output_and_exit_code(sandbox: Cli) -> None:
    script, given = "cat; echo bad >&2; exit 3", "x" * 300_000
    ended = sandbox(IMAGE, "sh", "-c", script, check=False, stdin=given.encode())
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, given, "bad\n")


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("cat /proc/net/dev | grep -v lo: | wc -l", "2\n"),
        ("touch /etc/x 2>/dev/null || echo no", "no\n"),
        ("id -u; grep CapPrm /proc/self/status", "65534\nCapPrm:\t0000000000000000\n"),
        ("cp /bin/busybox /tmp/sh; /tmp/sh true 2>/dev/null || echo no", "no\n"),
    ],
    ids=["network", "files", "rights", "programs of its own"],
)
def test_a_sandbox_has_little(sandbox: Cli, script: str, says: str) -> None:
    assert sandbox(IMAGE, "sh", stdin=script.encode()).stdout == says


@pytest.mark.parametrize(
    ("seconds", "script", "code"),
    [("1", "sleep 1000", 124), ("60", "dd if=/dev/zero of=/dev/null bs=128M count=1", 137)],
    ids=["time", "memory"],
)
def test_a_sandbox_ends_what_takes_too_much(
    sandbox: Cli, sampan: Cli, seconds: str, script: str, code: int
) -> None:
    before = sampan.text("ps", "-aq")
    ended = sandbox("--seconds", seconds, IMAGE, *script.split(), check=False)
    assert ended.returncode == code
    until(lambda: sampan.text("ps", "-aq") == before)


def test_a_sandbox_is_gone_after_ctrl_c(sandbox: Cli, sampan: Cli) -> None:
    before = sampan.text("ps", "-aq")
    program = sandbox.spawn(
        IMAGE, "sleep", "1000", stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    until(lambda: sampan.text("ps", "-q", "--filter", "status=running") != before)
    program.send_signal(signal.SIGINT)
    assert program.communicate() == (None, b"")
    assert program.returncode == 130
    until(lambda: sampan.text("ps", "-aq") == before)


def test_a_sandbox_of_no_image_says_so(sandbox: Cli) -> None:
    ended = sandbox("nowhere/image:1", "true", check=False)
    assert ended.returncode == 125
    assert ended.stderr == "sandbox.py: No such image: nowhere/image:1\n"
