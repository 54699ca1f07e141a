"""Docker's CLI on dockerd and on our engine, line by line: what differs beyond differential.txt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.conformance.suites import Result, differential
from tests.voyage.programs import Engine

SUMMARY = "docker's CLI on Debian's dockerd and on Sampan's engine, and sampan: 773 command lines"
AT_HOME = True


def prepare(work: Path) -> None:
    pass


def run(work: Path, arguments: list[str], _make: Callable[[Path], Engine]) -> Result:
    return differential("test_cli_differential", work, arguments)
