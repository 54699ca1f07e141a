"""One module for each suite, and what they share: a virtual environment and the figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

TOP = Path(__file__).resolve().parents[3]


@dataclass
class Result:
    """`groups`: label → words that keep a test out of it; `outcomes`: test → how it ended."""

    groups: dict[str, tuple[str, ...]]
    outcomes: dict[str, str]  # passed, failed, skipped
    missing: list[str] = field(default_factory=list)  # what passes on the reference

    def lines(self) -> list[str]:
        shown = []
        for label, words in self.groups.items():
            kept = self._without(words)
            count = {how: [*kept.values()].count(how) for how in ("passed", "failed", "skipped")}
            shown.append(
                f"{label:40} {count['passed']:4} passed, {count['failed']:3} failed,"
                f" {count['skipped']:3} skipped of {len(kept)}"
            )
        last = self._without([*self.groups.values()][-1])
        shown += [f"  failed: {name}" for name, how in sorted(last.items()) if how == "failed"]
        return shown + [f"  passes on dockerd: {name}" for name in self.missing]

    def _without(self, words: tuple[str, ...]) -> dict[str, str]:
        return {
            name: how
            for name, how in self.outcomes.items()
            if not any(word in name.lower() for word in words)
        }

    def remember(self, path: Path) -> None:
        path.write_text(json.dumps(self.outcomes, indent=1))

    def beside(self, reference: Path) -> None:
        """Compare with what `remember` wrote of another engine, if it has."""
        theirs = json.loads(reference.read_text()) if reference.is_file() else {}
        self.missing = sorted(
            name
            for name, how in self.outcomes.items()
            if how != "passed" and theirs.get(name) == "passed"
        )


def environment(work: Path, *requirements: str) -> Path:
    """The interpreter of a virtual environment that has these; made once."""
    python = work / "venv" / "bin" / "python"
    stamp = work / "venv" / "requirements"
    if not stamp.is_file() or stamp.read_text() != "\n".join(requirements):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(work / "venv")], check=True)
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        subprocess.run([*install, *requirements], check=True)
        stamp.write_text("\n".join(requirements))
    return python


def source(work: Path, requirement: str) -> Path:
    """A project's sdist from PyPI, unpacked."""
    target = work / requirement.replace("==", "-")
    if not target.is_dir():
        download = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check"]
        only = requirement.partition("==")[0]  # what it is built with may come as wheels
        where = ["--no-deps", "--no-binary", only, "-d", str(work)]
        subprocess.run([*download, *where, requirement], check=True)
        (archive,) = work.glob(f"{target.name}.tar.gz")
        subprocess.run(["tar", "-C", str(work), "-xzf", str(archive)], check=True)
    return target


def judge(junit: Path, groups: dict[str, tuple[str, ...]]) -> Result:
    """pytest's own report."""
    outcomes = {}
    for case in ET.parse(junit).iter("testcase"):
        broken = case.find("failure") is not None or case.find("error") is not None
        how = "failed" if broken else "skipped" if case.find("skipped") is not None else "passed"
        outcomes[f"{case.get('classname')}.{case.get('name')}"] = how
    return Result({"all": (), **groups}, outcomes)


def differential(test: str, work: Path, words: list[str], **variables: str) -> Result:
    """One of this project's own tests that compare with a peer."""
    report = work / "junit.xml"
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}",
         f"tests/conformance/{test}.py", *words],
        cwd=TOP, env={**os.environ, "SAMPAN_DIFFERENTIAL": "1", **variables}, check=False,
    )  # fmt: skip
    return judge(report, {})


def pytest(
    python: Path, tests: Path, work: Path, words: list[str], variables: dict[str, str]
) -> Path:
    """Run it in `tests`, with its words in work/output.txt; the report, for `judge`."""
    report = work / "junit.xml"
    report.unlink(missing_ok=True)
    with open(work / "output.txt", "wb") as output:
        subprocess.run(
            [python, "-m", "pytest", "--tb=short", "-p", "no:cacheprovider", "--timeout=60",
             f"--junitxml={report}", *words],
            cwd=tests, env={**os.environ, **variables}, stdout=output, stderr=output, check=False,
        )  # fmt: skip
    return report
