"""Small Dockerfiles built by BuildKit and by us: what differs beyond what is known.

It wants `buildkitd`, `buildctl` and a `runc` in PATH; the distributions have none of the first two.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conformance import dockerfiles
from tests.conformance.suites import Result, differential
from tests.voyage.programs import Engine

SUMMARY = f"{len(dockerfiles.cases())} Dockerfiles on BuildKit and on Sampan's engine"
AT_HOME = True


def prepare(work: Path) -> None:
    for program in ("buildkitd", "buildctl", "runc"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not in PATH: `go build ./cmd/buildkitd ./cmd/buildctl`")


def run(work: Path, arguments: list[str], _make: Callable[[Path], Engine]) -> Result:
    return differential("test_build_differential", work, arguments, SAMPAN_PEER="buildkit")
