"""The programs from outside: a real engine of our own, driven by `sampan` and by the docker CLI.

`cli` is both of them in turn, on the same engine; `SAMPAN_TEST_DOCKER_HOST=unix:///…` adds a
third, the docker CLI on somebody else's engine, which shows that the tests are right.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .host import Host
from .programs import Cli, Engine, busybox_tar

IMAGE = "voyage/busybox:latest"
REFERENCE = os.environ.get("SAMPAN_TEST_DOCKER_HOST")


@pytest.fixture(scope="session")
def work() -> Iterator[Path]:
    # Not pytest's own directory: its names are long, and a path here ends up in mount options.
    work = Path(tempfile.mkdtemp(prefix="voyage-", dir="/var/tmp"))
    yield work
    shutil.rmtree(work)


@pytest.fixture(scope="session")
def busybox(work: Path) -> Path:
    archive = work / "busybox.tar"
    busybox_tar(work / "busybox", archive)
    return archive


@pytest.fixture(scope="session")
def engine(work: Path, busybox: Path) -> Iterator[Engine]:
    engine = Engine(work)
    try:
        engine.start()
        engine.cli("sampan")("import", str(busybox), IMAGE)
        yield engine
    finally:
        engine.destroy()


def _programs() -> list[str]:
    programs = ["sampan"]
    if shutil.which("docker"):
        programs.append("docker")
    if REFERENCE:
        programs.append("reference")
    return programs


@pytest.fixture(params=_programs())
def cli(request: pytest.FixtureRequest, busybox: Path) -> Iterator[Cli]:
    if request.param == "reference":
        cli = Cli(["docker"], {"DOCKER_HOST": REFERENCE or ""})
        if cli("image", "inspect", IMAGE, check=False).returncode:
            cli("import", str(busybox), IMAGE)
    else:
        cli = request.getfixturevalue("engine").cli(request.param)
    yield cli
    cli.remove_all()


@pytest.fixture
def sampan(engine: Engine) -> Iterator[Cli]:
    cli = engine.cli("sampan")
    yield cli
    cli.remove_all()


@pytest.fixture
def host(engine: Engine) -> Host:
    return Host(engine)


@pytest.fixture
def scratch() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="voyage-scratch-", dir="/var/tmp"))
    yield path
    subprocess.run(["rm", "-rf", str(path)], check=True)
