"""docker-py's integration tests (PyPI sdist docker 7.0.0).

The images that the tests name are made of Debian's static busybox.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.conformance import images, island
from tests.conformance.suites import Result, environment, judge, pytest, source
from tests.voyage.programs import Engine, busybox_tar

SUMMARY = "docker-py 7.0.0, tests/integration"
REQUIREMENTS = (
    *("pytest==7.4.4", "pytest-timeout", "paramiko", "requests<2.32", "urllib3<2.3"),
    *("websocket-client", "docker==7.0.0", "setuptools"),
)
IMAGES = ("alpine:3.10", "alpine:latest", "busybox:latest")
HELLO = "hello-world:latest"  # an image of its own: one is pruned while a container has the other
SWARM = ("swarm", "service", "secret", "config", "node", "plugin")


def prepare(work: Path) -> None:
    environment(work, *REQUIREMENTS)
    source(work, "docker==7.0.0")


def run(work: Path, arguments: list[str], make: Callable[[Path], Engine]) -> Result:
    top = Path(tempfile.mkdtemp(prefix="docker-py-", dir="/var/tmp"))
    engine = make(top)
    config = top / "config"  # contexts and credentials
    config.mkdir()
    (config / "config.json").write_text("{}")  # without one, contexts go to the current directory
    variables = {
        "DOCKER_HOST": engine.socket,
        "DOCKER_TEST_API_VERSION": "1.41",
        "DOCKER_CONFIG": str(config),
        "HOME": str(config),
    }
    try:
        with island.hub(top):
            engine.start()
            load_images(engine, top, IMAGES)
            with tarfile.open(top / "hello.tar", "w") as tar:
                tar.add(top / "tree/etc/passwd", "hello")
            engine.cli("sampan")("import", str(top / "hello.tar"), HELLO)
            images.publish(engine, *IMAGES, HELLO)
            report = pytest(
                environment(work, *REQUIREMENTS), source(work, "docker==7.0.0"), work,
                ["-q", *(arguments or ["tests/integration"])], variables,
            )  # fmt: skip
        return judge(report, {"single node": SWARM, "single node without build": (*SWARM, "build")})
    finally:
        engine.destroy()
        shutil.rmtree(top)


def load_images(engine: Engine, top: Path, names: tuple[str, ...]) -> None:
    """One root file system under several names, an image each: a prune then takes no name of an
    image that is in use."""
    tree = top / "tree"
    (tree / "var/opt").mkdir(parents=True)
    (tree / "usr/bin").mkdir(parents=True)
    busybox_tar(tree, top / "busybox.tar")
    cli = engine.cli("sampan")
    with open(tree / "etc/passwd", "a", encoding="utf-8") as file:
        file.write("postgres:x:70:70::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
    subprocess.run(["tar", "-C", str(tree), "-cf", str(top / "busybox.tar"), "."], check=True)
    path = "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    change = ["--change", path, "--change", f"CMD {json.dumps(['/bin/sh'])}"]
    for name in names:
        cli("import", *change, "--change", f"LABEL is={name}", str(top / "busybox.tar"), name)
