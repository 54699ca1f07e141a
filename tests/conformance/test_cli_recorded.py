"""What `sampan` says on our engine, word for word: a short story whose answers are recorded.

recorded.txt holds it; `differential` normalises what differs from run to run. The whole comparison,
with docker's CLI and dockerd at hand, is test_cli_differential.py.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance import differential
from tests.engine_process import Engine

pytestmark = pytest.mark.needs("mount", "netns")

RECORDED = Path(__file__).with_name("recorded.txt")
SAMPAN = Path(__file__).resolve().parents[2] / ".venv/bin/sampan"
LINES = differential.table(RECORDED)
SECTIONS = list(dict.fromkeys(line.section for line in LINES))


@pytest.fixture(scope="module")
def played() -> Iterator[list[differential.Outcome]]:
    top = Path(tempfile.mkdtemp(prefix="recorded-", dir="/var/tmp"))
    try:
        with Engine(below=differential.ALONE) as engine:
            session = differential.Session([str(SAMPAN)], engine.docker_host, top, {})
            yield [session.run(line) for line in LINES]
            assert "Traceback" not in engine.log(), engine.log()
    finally:
        shutil.rmtree(top)


@pytest.mark.parametrize("section", SECTIONS)
def test_the_answers_are_the_recorded_ones(section, played):
    wrong = [
        f"{line.number}: {line.text}\n   {line.recorded}\n   {found}"
        for line, found in zip(LINES, played, strict=True)
        if line.section == section and found != line.recorded
    ]
    assert not wrong, "\n".join(["recorded, and found:", *wrong])
