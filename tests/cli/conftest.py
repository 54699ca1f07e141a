import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.cli.fake_engine import FakeEngine

SOURCE = str(Path(__file__).parents[2] / "src")
PACKAGES = sysconfig.get_path("purelib")
PROGRAM = [
    sys.executable, "-I", "-S", "-c",
    f"import sys; sys.path[:] = [{SOURCE!r}, *sys.path, {PACKAGES!r}]\n"
    "from sampan.cli.main import main\nsys.exit(main())",
]  # fmt: skip


@pytest.fixture
def engine(tmp_path):
    fake = FakeEngine(str(tmp_path / "engine.sock"))
    yield fake
    fake.close()


@pytest.fixture
def sampan(tmp_path):
    """Run `sampan` as its own process: `sampan("ps", "-a", host=…)`."""

    def run(*words, host="", stdin="", **environment):
        return subprocess.run(
            [*PROGRAM, *(["-H", host] if host else []), *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "DOCKER_CONFIG": str(tmp_path / "config"),
                "SAMPAN_ROOT": str(tmp_path / "root"),
                "SAMPAN_RUN": str(tmp_path / "run"),
                "TZ": "UTC",
                **environment,
            },
        )

    return run
