"""The examples, run as a reader would."""

from __future__ import annotations

import base64
import json
import os
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
