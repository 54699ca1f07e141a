"""Small Dockerfiles built by Debian's buildah and by us: what differs beyond what is known."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.conformance import dockerfiles
from tests.conformance.suites import Result, differential
from tests.voyage.programs import Engine

SUMMARY = f"{len(dockerfiles.cases())} Dockerfiles on Debian's buildah and on Sampan's engine"
AT_HOME = True


def prepare(work: Path) -> None:
    if shutil.which("buildah") is None:
        install = ["apt-get", "install", "-y", "--no-install-recommends", "buildah"]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)


def run(work: Path, arguments: list[str], _make: Callable[[Path], Engine]) -> Result:
    return differential("test_build_differential", work, arguments, SAMPAN_PEER="buildah")
