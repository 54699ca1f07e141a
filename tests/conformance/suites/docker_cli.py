"""Docker's CLI on dockerd and on our engine, line by line: what differs beyond differential.txt."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conformance.suites import Result, judge
from tests.voyage.programs import Engine

SUMMARY = "docker's CLI on Debian's dockerd and on Sampan's engine, and sampan: 771 command lines"
AT_HOME = True
TOP = Path(__file__).resolve().parents[3]


def prepare(work: Path) -> None:
    pass


def run(work: Path, arguments: list[str], _make: Callable[[Path], Engine]) -> Result:
    report = work / "junit.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}",
         "tests/conformance/test_cli_differential.py", *arguments],
        cwd=TOP, env={**os.environ, "SAMPAN_DIFFERENTIAL": "1"}, check=False,
    )  # fmt: skip
    return judge(report, {})
