"""One module for each suite, and what they share: a virtual environment and the figures."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Result:
    """`groups`: label → (passed, failed, skipped); `failed`: what failed in the last group."""

    groups: dict[str, tuple[int, int, int]]
    failed: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        shown = [
            f"{label:40} {passed:4} passed of {passed + failed + skipped} ({skipped} skipped)"
            for label, (passed, failed, skipped) in self.groups.items()
        ]
        return shown + [f"  failed: {name}" for name in self.failed]


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


def judge(junit: Path, extra: dict[str, tuple[str, ...]]) -> Result:
    """pytest's own report; `extra` adds groups: label → words that keep a test out of it."""
    groups = {"all": [0, 0, 0], **{label: [0, 0, 0] for label in extra}}
    failed: list[str] = []
    words = list(extra.values())[-1] if extra else ()
    for case in ET.parse(junit).iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        broken = case.find("failure") is not None or case.find("error") is not None
        place = 1 if broken else 2 if case.find("skipped") is not None else 0
        for label, counts in groups.items():
            if not any(word in name.lower() for word in extra.get(label, ())):
                counts[place] += 1
        if broken and not any(word in name.lower() for word in words):
            failed.append(name)
    return Result({label: (c[0], c[1], c[2]) for label, c in groups.items()}, sorted(failed))
