"""aiodocker's own tests (PyPI sdist aiodocker 0.27.0) against an engine of our own.

They name Python's and the registry's images, which are made of Debian's packages, and start swarm
in Docker's own image, which is not to be had. The docker program pulls: it has to be in PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.conformance import images
from tests.conformance.suites import Result, environment, judge, source
from tests.conformance.suites.docker_py import hub, load_images
from tests.voyage.programs import Engine

SUMMARY = "aiodocker 0.27.0, tests"
REQUIREMENTS = (
    *("aiodocker==0.27.0", "pytest==9.0.3", "pytest-asyncio==1.3.0", "pytest-cov", "packaging"),
    *("pytest-timeout", "testcontainers==4.14.2", "asyncssh", "paramiko", "async-timeout~=5.0.1"),
)
PYTHON = ("python:3.13-alpine", "python:3.14-alpine", "python:latest")
SWARM = ("swarm", "service", "secret", "config", "node")


def run(work: Path, arguments: list[str]) -> Result:
    python = environment(work, *REQUIREMENTS)
    tests = source(work, "aiodocker==0.27.0")
    archive = images.debian(work)
    top = Path(tempfile.mkdtemp(prefix="aiodocker-", dir="/var/tmp"))
    engine = Engine(top)
    try:
        with hub(engine, top):
            engine.start()
            names = {**dict.fromkeys(PYTHON, "python"), "registry:2": "registry"}
            images.load(engine, archive, names)
            load_images(engine, top, ("alpine:latest", "busybox:latest"))
            images.publish(engine, *PYTHON)
            images.publish(engine, "alpine:latest", "busybox:latest")
            pytest = [python, "-m", "pytest", "--tb=short", "-p", "no:cacheprovider"]
            report = [f"--junitxml={work}/junit.xml", "--timeout=60"]
            with open(work / "output.txt", "wb") as output:
                subprocess.run(
                    [*pytest, *report, *(arguments or ["tests"])],
                    cwd=tests,
                    env={
                        **os.environ,
                        "DOCKER_HOST": engine.socket,
                        "DOCKER_CONFIG": str(top / "docker-config"),
                        "HOME": str(top),
                        "TESTCONTAINERS_RYUK_DISABLED": "true",
                    },
                    stdout=output,
                    stderr=output,
                    check=False,
                )
        return judge(work / "junit.xml", {"single node": SWARM})
    finally:
        engine.destroy()
        shutil.rmtree(top)
