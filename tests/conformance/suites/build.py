"""Small Dockerfiles built by Debian's buildah and by us: what differs beyond what is known."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conformance import dockerfiles
from tests.conformance.suites import Result, judge
from tests.voyage.programs import Engine

SUMMARY = f"{len(dockerfiles.cases())} Dockerfiles on Debian's buildah and on Sampan's engine"
AT_HOME = True
TOP = Path(__file__).resolve().parents[3]


def prepare(work: Path) -> None:
    if shutil.which("buildah") is None:
        install = ["apt-get", "install", "-y", "--no-install-recommends", "buildah"]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)


def run(work: Path, arguments: list[str], _make: Callable[[Path], Engine]) -> Result:
    return beside("buildah", work, arguments)


def beside(peer: str, work: Path, arguments: list[str]) -> Result:
    report = work / "junit.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}",
         "tests/conformance/test_build_differential.py", *arguments],
        cwd=TOP, env={**os.environ, "SAMPAN_DIFFERENTIAL": "1", "SAMPAN_PEER": peer}, check=False,
    )  # fmt: skip
    return judge(report, {})
