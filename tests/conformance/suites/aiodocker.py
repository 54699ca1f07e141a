"""aiodocker's own tests (PyPI sdist aiodocker 0.27.0).

They name Python's and the registry's images, which are made of Debian's packages, and start swarm
in Docker's own image, which is not to be had. The docker program pulls: it has to be in PATH.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.conformance import images, island
from tests.conformance.suites import Result, environment, judge, pytest, source
from tests.conformance.suites.docker_py import load_images
from tests.voyage.programs import Engine

SUMMARY = "aiodocker 0.27.0, tests"
REQUIREMENTS = (
    *("aiodocker==0.27.0", "pytest==9.0.3", "pytest-asyncio==1.3.0", "pytest-cov", "packaging"),
    *("pytest-timeout", "testcontainers==4.14.2", "asyncssh", "paramiko", "async-timeout~=5.0.1"),
)
PYTHON = ("python:3.13-alpine", "python:3.14-alpine", "python:latest")
SWARM = ("swarm", "service", "secret", "config", "node")


def prepare(work: Path) -> None:
    environment(work, *REQUIREMENTS)
    source(work, "aiodocker==0.27.0")
    images.debian(work)


def run(work: Path, arguments: list[str], make: Callable[[Path], Engine]) -> Result:
    top = Path(tempfile.mkdtemp(prefix="aiodocker-", dir="/var/tmp"))
    engine = make(top)
    variables = {
        "DOCKER_HOST": engine.socket,
        "DOCKER_CONFIG": str(top / "docker-config"),
        "HOME": str(top),
        "TESTCONTAINERS_RYUK_DISABLED": "true",
        # As where the tests run in no container: the registry is then on loopback.
        "TESTCONTAINERS_HOST_OVERRIDE": "localhost",
        "TESTCONTAINERS_CONNECTION_MODE": "docker_host",
    }
    try:
        with island.hub(top):
            engine.start()
            names = {**dict.fromkeys(PYTHON, "python"), "registry:2": "registry"}
            images.load(engine, images.debian(work), names)
            load_images(engine, top, ("alpine:latest", "busybox:latest"))
            images.publish(engine, *PYTHON, "alpine:latest", "busybox:latest")
            report = pytest(
                environment(work, *REQUIREMENTS), source(work, "aiodocker==0.27.0"), work,
                arguments or ["tests"], variables,
            )  # fmt: skip
        return judge(report, {"single node": SWARM})
    finally:
        engine.destroy()
        shutil.rmtree(top)
