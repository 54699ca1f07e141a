"""Every parser of `tests/conformance/fuzz` under atheris (PyPI), 20 seconds each.

`./do conformance fuzz -- NAME ... [--seconds=N]` picks. The corpora are kept below .cache, as is
the input of a failure (`crash-…` beside its `output.txt`).
"""

from __future__ import annotations

import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

from tests.conformance.suites import Result, environment
from tests.voyage.programs import Engine

SUMMARY = "atheris on our parsers"
AT_HOME = True
TOP = Path(__file__).resolve().parents[3]


def _requirements() -> tuple[str, ...]:
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    return ("atheris==3.0.0", *project["dependencies"])


def prepare(work: Path) -> None:
    environment(work, *_requirements())


def run(work: Path, arguments: list[str], _make: Callable[[Path], Engine]) -> Result:
    from tests.conformance.fuzz import targets

    seconds = 20
    names = []
    for word in arguments:
        if word.startswith("--seconds="):
            seconds = int(word.partition("=")[2])
        else:
            names.append(word)
    outcomes = {}
    for name in names or targets.TARGETS:
        corpus = work / name / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(targets.TARGETS[name].seeds):
            (corpus / f"seed-{number}").write_bytes(seed)
        words = [f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=8192"]
        with open(work / name / "output.txt", "wb") as output:
            code = subprocess.run(
                [environment(work, *_requirements()), "-m", "tests.conformance.fuzz.harness",
                 name, *words, f"-artifact_prefix={work}/{name}/", str(corpus)],
                cwd=TOP, env={**os.environ, "PYTHONPATH": f"{TOP}:{TOP}/src"},
                stdout=output, stderr=output, check=False,
            ).returncode  # fmt: skip
        outcomes[name] = "failed" if code else "passed"
    return Result({"all": ()}, outcomes)
