"""docker-py's integration tests (PyPI sdist docker 7.0.0) against an engine of our own.

The images that the tests name are made of Debian's static busybox; a registry of our own stands in
for Docker Hub. With
SAMPAN_TEST_DOCKER_HOST they run against that engine instead, which must have the images.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.conformance import images
from tests.conformance.suites import Result, environment, judge, source
from tests.voyage.programs import BIN, Engine, busybox_tar

SUMMARY = "docker-py 7.0.0, tests/integration"
REQUIREMENTS = (
    *("pytest==7.4.4", "pytest-timeout", "paramiko", "requests<2.32", "urllib3<2.3"),
    *("websocket-client", "docker==7.0.0", "setuptools"),
)
IMAGES = ("alpine:3.10", "alpine:latest", "busybox:latest")
HELLO = "hello-world:latest"  # an image of its own: one is pruned while a container has the other
SWARM = ("swarm", "service", "secret", "config", "node", "plugin")


def run(work: Path, arguments: list[str]) -> Result:
    python = environment(work, *REQUIREMENTS)
    tests = source(work, "docker==7.0.0")
    host = os.environ.get("SAMPAN_TEST_DOCKER_HOST")
    if host:
        return _measure(python, tests, work, host, arguments)
    top = Path(tempfile.mkdtemp(prefix="docker-py-", dir="/var/tmp"))
    engine = Engine(top)
    try:
        with hub(engine, top):
            engine.start()
            load_images(engine, top, IMAGES)
            with tarfile.open(top / "hello.tar", "w") as tar:
                tar.add(top / "tree/etc/passwd", "hello")
            engine.cli("sampan")("import", str(top / "hello.tar"), HELLO)
            images.publish(engine, *IMAGES)
            images.publish(engine, HELLO)
            return _measure(python, tests, work, engine.socket, arguments)
    finally:
        engine.destroy()
        shutil.rmtree(top)


@contextlib.contextmanager
def hub(engine: Engine, top: Path) -> Iterator[None]:
    """A registry of ours in the place of Docker Hub, as the engine's mirror."""
    program = [str(BIN / "sampan"), "registry", "serve", "--addr", "127.0.0.1:0"]
    process = subprocess.Popen(
        [*program, "--root", str(top / "registry")], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        engine.mirror = url.removeprefix("http://")
        (top / "sampand.json").write_text(json.dumps({"registry-mirrors": [url]}))
        engine.environment["SAMPAN_CONFIG"] = str(top / "sampand.json")
        yield
    finally:
        process.terminate()
        process.wait()


def load_images(engine: Engine, top: Path, names: tuple[str, ...]) -> None:
    """One root file system under several names."""
    tree = top / "tree"
    (tree / "var/opt").mkdir(parents=True)
    (tree / "usr/bin").mkdir(parents=True)
    busybox_tar(tree, top / "busybox.tar")
    cli = engine.cli("sampan")
    with open(tree / "etc/passwd", "a", encoding="utf-8") as file:
        file.write("postgres:x:70:70::/:/bin/sh\n")
    subprocess.run(["tar", "-C", str(tree), "-cf", str(top / "busybox.tar"), "."], check=True)
    path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    change = ["--change", path, "--change", f"CMD {json.dumps(['/bin/sh'])}"]
    cli("import", *change, str(top / "busybox.tar"), names[0])
    for name in names[1:]:
        cli("tag", names[0], name)


def _measure(python: Path, tests: Path, work: Path, host: str, arguments: list[str]) -> Result:
    config = work / "docker-config"  # contexts and credentials of a run before must not count
    shutil.rmtree(config, ignore_errors=True)
    config.mkdir()
    (config / "config.json").write_text("{}")  # without one, contexts go to the current directory
    pytest = [python, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", "--timeout=60"]
    variables = {
        **os.environ,
        "DOCKER_HOST": host,
        "DOCKER_TEST_API_VERSION": "1.41",
        "DOCKER_CONFIG": str(config),
        "HOME": str(config),
    }
    with open(work / "output.txt", "wb") as output:
        subprocess.run(
            [*pytest, f"--junitxml={work}/junit.xml", *(arguments or ["tests/integration"])],
            cwd=tests,
            env=variables,
            stdout=output,
            check=False,
        )
    return judge(
        work / "junit.xml",
        {"single node": SWARM, "single node without build": (*SWARM, "build")},
    )
