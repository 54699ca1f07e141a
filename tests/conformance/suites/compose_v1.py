"""Compose V1's integration tests (Debian's source of docker-compose 1.29.2).

The images that the tests name are made of Debian's static busybox; nothing is pulled.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.conformance.suites import Result, environment, judge, pytest
from tests.conformance.suites.docker_py import load_images
from tests.voyage.programs import Engine

SUMMARY = "Compose V1 1.29.2, tests/integration"
SOURCE = "http://deb.debian.org/debian/pool/main/d/docker-compose/docker-compose_1.29.2.orig.tar.gz"
REQUIREMENTS = (
    *("PyYAML>=6", "docker==5.0.3", "requests<2.29", "urllib3<2", "jsonschema<4", "ddt"),
    *("pytest==7.4.4", "pytest-timeout", "docopt", "dockerpty", "texttable", "websocket-client<1"),
    *("python-dotenv", "distro", "cached-property", "paramiko", "six", "setuptools<60"),
)
IMAGES = ("busybox:1.31.0-uclibc", "busybox:1.27.2", "busybox:latest")


def prepare(work: Path) -> None:
    environment(work, *REQUIREMENTS)
    if not (work / "compose-1.29.2").is_dir():
        archive = work / "source.tar.gz"
        subprocess.run(["curl", "-sSf", "-o", str(archive), SOURCE], check=True)
        subprocess.run(["tar", "-C", str(work), "-xzf", str(archive)], check=True)


def run(work: Path, arguments: list[str], make: Callable[[Path], Engine]) -> Result:
    top = Path(tempfile.mkdtemp(prefix="compose-v1-", dir="/var/tmp"))
    engine = make(top)
    try:
        engine.start()
        load_images(engine, top, IMAGES)
        report = pytest(
            environment(work, *REQUIREMENTS), work / "compose-1.29.2", work,
            ["-q", *(arguments or ["tests/integration"])],
            {"DOCKER_HOST": engine.socket, "HOME": str(top)},
        )  # fmt: skip
        return judge(report, {"without build": ("build",)})
    finally:
        engine.destroy()
        shutil.rmtree(top)
