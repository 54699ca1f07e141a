"""`sampan volume export`, `import`, `clone`, `snapshot` as a user types them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine_process import SOURCE, Engine

pytestmark = pytest.mark.needs("mount")


def sampan(engine: Engine, *words: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run(
        [sys.executable, "-c", "from sampan.cli.main import main; main()",
         "-H", engine.docker_host, "volume", *words],
        env={"PYTHONPATH": SOURCE, "PATH": os.environ["PATH"]},
        input=stdin, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_and_back(tmp_path: Path) -> None:
    with Engine() as engine:
        place = engine.request("POST", "/volumes/create", {"Name": "data"})[1]["Mountpoint"]
        Path(place, "file").write_text("text")
        archive = tmp_path / "data.tar"
        sampan(engine, "export", "-o", str(archive), "data")
        assert sampan(engine, "import", "from-file", str(archive)) == b"from-file\n"
        assert sampan(engine, "import", "from-stdin", "-", stdin=archive.read_bytes())
        assert sampan(engine, "clone", "data", "cloned") == b"cloned\n"
        name = sampan(engine, "snapshot", "data").decode().strip()
        assert name.startswith("data-20")
        for volume in ("from-file", "from-stdin", "cloned", name):
            there = engine.request("GET", f"/volumes/{volume}")[1]["Mountpoint"]
            assert Path(there, "file").read_text() == "text"
