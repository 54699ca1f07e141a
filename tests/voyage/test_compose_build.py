"""The real compose 2 builds through BuildKit's session: `/grpc` and `/session` from outside."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .programs import Engine, compose_program

Done = subprocess.CompletedProcess[str]
Build = Callable[..., Done]
DOCKERFILE = """\
FROM scratch AS base
COPY busybox /bin/busybox
SHELL ["/bin/busybox", "sh", "-c"]
FROM base AS other
RUN echo this must not be built; exit 9
FROM base AS wanted
ARG WHO=nobody
RUN echo hello $WHO; echo careful >&2
RUN --mount=type=secret,id=token test "$(/bin/busybox cat /run/secrets/token)" = s3cret
COPY --from=beside note /note
COPY . /all
CMD ["/bin/busybox", "find", "/all"]
FROM base
COPY nothing /
"""
COMPOSE = """\
name: voyagebuild
services:
  web:
    image: voyage/built
    build:
      context: .
      target: wanted
      args: {WHO: you}
      labels: {made.by: compose}
      secrets: [token]
      additional_contexts: {beside: ./beside}
secrets: {token: {environment: TOKEN}}
"""


@pytest.fixture
def project(scratch: Path) -> Path:
    scratch = scratch / "project"  # beside it lies what the client writes
    scratch.mkdir()
    (scratch / "compose.yaml").write_text(COMPOSE)
    (scratch / "Dockerfile").write_text(DOCKERFILE)
    (scratch / ".dockerignore").write_text("*.log\n!kept.log\n")
    for name in ("a.log", "kept.log", "caf\u00e9"):
        (scratch / name).write_text(name)
    shutil.copy("/bin/busybox", scratch / "busybox")
    (scratch / "beside").mkdir()
    (scratch / "beside/note").write_text("from beside")
    return scratch


@pytest.fixture
def compose(engine: Engine, project: Path) -> Iterator[Build]:
    engine.start()
    environment = {
        **os.environ,
        "DOCKER_HOST": engine.socket,
        "DOCKER_CONFIG": str(project.parent),
        "HOME": str(project.parent),
        "TOKEN": "s3cret",
    }

    def run(*words: str) -> Done:
        return subprocess.run(
            [str(compose_program()), "--progress", "plain", *words],
            cwd=project, env=environment, capture_output=True, text=True, check=False, timeout=90,
        )  # fmt: skip

    yield run
    run("down", "-v", "-t", "1", "--rmi", "all")


def test_compose_builds_what_it_then_runs(compose: Build) -> None:
    built = compose("build")
    assert "hello you" in built.stdout
    assert "careful" in built.stdout
    assert "this must not be built" not in built.stdout
    assert "[web wanted 1/4] RUN echo hello $WHO; echo careful >&2" in built.stdout
    up = compose("up", "--no-log-prefix")
    assert {"/all/Dockerfile", "/all/kept.log", "/all/caf\u00e9"} <= set(up.stdout.split())
    assert "a.log" not in up.stdout
    again = compose("build")
    assert again.stdout.count("CACHED") == 5, again.stdout
    assert "hello you" not in again.stdout


def test_a_failing_step_is_shown_as_buildkit_shows_it(compose: Build, project: Path) -> None:
    dockerfile = DOCKERFILE.replace("echo hello $WHO", "echo oh no; exit 3; echo")
    (project / "Dockerfile").write_text(dockerfile)
    failed = compose("build")
    assert "ERROR: process" in failed.stdout
    assert (
        'failed to solve: process "/bin/busybox sh -c echo oh no; exit 3; echo; echo careful >&2"'
        " did not complete successfully: exit code: 3" in failed.stderr
    )
