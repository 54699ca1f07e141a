"""testcontainers-python's tests (4.15.0's sources): its core, and the modules of what Debian has.

The sdist on PyPI has no tests, so the sources come from GitHub, or from where
SAMPAN_TESTCONTAINERS says. All images are made of Debian's packages; the reaper, helloworld and
the start of postgres are stand-ins. Two files are left out: one runs docker in docker, in images of
others, one imports every module and so wants every database's client.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.conformance import images, island
from tests.conformance.suites import Result, environment, judge, pytest
from tests.conformance.suites.docker_py import load_images
from tests.voyage.programs import Engine, compose_program

SUMMARY = "testcontainers-python 4.15.0, tests/core and six modules"
SOURCE = "https://github.com/testcontainers/testcontainers-python"
REQUIREMENTS = (
    *("testcontainers==4.15.0", "pytest>=9", "pytest-asyncio", "pytest-mock", "pytest-timeout"),
    *("anyio", "bcrypt", "paramiko", "redis", "requests", "sqlalchemy", "httpx"),
    *("psycopg2-binary", "pg8000", "psycopg[binary]"),
)
MODULES = ("nginx", "redis", "memcached", "postgres", "registry", "generic")
NAMES = {
    **dict.fromkeys(("hello-world:latest", "hello-world"), "hello-world"),
    **dict.fromkeys(("ubuntu:latest", "bash:latest"), "bash"),
    **dict.fromkeys(
        ("nginx:latest", "nginx:alpine", "nginx:alpine-slim", "nginx:1.25.4-alpine-slim"), "nginx"
    ),
    "nginx:1.13.8": "nginx",
    **dict.fromkeys(("postgres:latest", "postgres:12", "postgres:13", "postgres:9.5"), "postgres"),
    **dict.fromkeys(
        ("postgres:14", "postgres:15", "postgres:16", "postgres:16-alpine"), "postgres"
    ),
    "redis:latest": "redis",
    **dict.fromkeys(("memcached:1", "memcached:1.6-alpine", "memcached:1.6-bookworm"), "memcached"),
    "registry:2": "registry",
    **dict.fromkeys(("alpine/socat:1.7.4.3-r0", "alpine/socat:latest"), "socat"),
    "python:3-alpine": "python",
    "testcontainers/helloworld:1.2.0": "helloworld",
    "testcontainers/ryuk:0.8.1": "ryuk",
}
BUSYBOX = ("alpine:latest", "busybox:latest", "busybox:buildroot-2014.02")
ELSEWHERE = ("test_docker_in_docker.py", "test_legacy_module_imports.py")


def prepare(work: Path) -> None:
    environment(work, *REQUIREMENTS)
    images.debian(work, *images.SERVICES)
    tests = work / "source"
    if not tests.is_dir():
        if given := os.environ.get("SAMPAN_TESTCONTAINERS"):
            shutil.copytree(given, tests)
        else:
            clone = ["git", "clone", "-q", "--depth=1", "--branch=testcontainers-v4.15.0", SOURCE]
            subprocess.run([*clone, str(tests)], check=True)


def run(work: Path, arguments: list[str], make: Callable[[Path], Engine]) -> Result:
    top = Path(tempfile.mkdtemp(prefix="containers-", dir="/var/tmp"))
    engine = make(top)
    plugins = top / "docker-config" / "cli-plugins"
    plugins.mkdir(parents=True)
    shutil.copy(compose_program(), plugins / "docker-compose")
    variables = {
        "DOCKER_HOST": engine.socket,
        "DOCKER_CONFIG": str(plugins.parent),
        "HOME": str(top),
        "PYTHONPATH": str(work / "source"),
        # As where the tests run in no container.
        "TESTCONTAINERS_HOST_OVERRIDE": "localhost",
        "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
    }
    try:
        with island.hub(top):
            engine.start()
            load_images(engine, top, BUSYBOX)
            images.load(engine, images.debian(work), NAMES)
            images.publish(engine, *BUSYBOX, "hello-world:latest", "nginx:latest")
            chosen = [
                "tests/core",
                *(f"--ignore=tests/core/{name}" for name in ELSEWHERE),
                *(f"tests/community/{name}" for name in MODULES),
            ]
            report = pytest(
                environment(work, *REQUIREMENTS), work / "source", work,
                ["-q", "-o", "log_cli=false", *(arguments or chosen)], variables,
            )  # fmt: skip
        return judge(report, {"core": ("community",)})
    finally:
        engine.destroy()
        shutil.rmtree(top)
