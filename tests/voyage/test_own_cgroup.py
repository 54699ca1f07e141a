"""An engine that a command has started is not of that command's session, nor of its limits."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.kit import paths
from sampan.linux import cgroup

from .programs import BIN, Engine, until

pytestmark = pytest.mark.needs("mount", "nft")
ENTER = 'for d in $DIRECTORIES; do echo 0 >"$d/cgroup.procs" || exit; done; exec "$@"'


@pytest.fixture
def session() -> Iterator[cgroup.Manager]:
    """The cgroup of somebody's session, or job."""
    made = cgroup.manager(f"/session-{os.getpid()}")
    made.create()
    yield made
    made.kill()
    made.delete()


@pytest.fixture
def engine() -> Iterator[Engine]:
    """One that has yet to be started."""
    engine = Engine(Path(tempfile.mkdtemp(prefix="voyage-own-", dir="/var/tmp")))
    yield engine
    engine.destroy()
    shutil.rmtree(engine.work)


def left(engine: Engine) -> list[str]:
    """Directories of the engine's own cgroups."""
    name = paths.Paths(root=str(engine.root), run=str(engine.run)).engine_cgroup
    return [
        directory
        for directory, _, _ in os.walk("/sys/fs/cgroup")
        if os.path.basename(directory) in (name, f"{name}.scope")
    ]


@pytest.mark.parametrize("words", [["sampan", "version"], ["sampand"]])
def test_the_engine_outlives_the_session_of_who_started_it(
    engine: Engine, session: cgroup.Manager, words: list[str]
) -> None:
    directories = " ".join(dict.fromkeys(session.paths().values()))
    environment = {**os.environ, **engine.environment, "DIRECTORIES": directories}
    program = [str(BIN / words[0]), *words[1:]]
    subprocess.run(["sh", "-c", ENTER, "sh", *program], env=environment, check=True, timeout=300)
    assert session.pids() == []
    pid = engine.pid
    session.kill()
    assert engine.cli("sampan").text("ps", "-q") == ""
    assert engine.pid == pid
    log = engine.run / "sampand.log"
    assert "stays in the cgroup" not in log.read_text()
    assert left(engine)
    engine.destroy()
    until(lambda: not left(engine), message=f"{left(engine)} stay")
