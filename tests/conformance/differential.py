"""A table of command lines, and what makes two runs of a line comparable.

differential.txt is test_cli_differential.py's, recorded.txt test_cli_recorded.py's.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_name("differential.txt")
NORMALISERS = {"numbers", "sorted", "columns", "comments", "ids", "stdout", "stderr"}
WHO = {"docker", "sampan"}
# A command's prefix: network and mount namespaces of its own, with a loopback that is up.
ALONE = ("unshare", "--net", "--mount", "sh", "-c", 'ip link set lo up && exec "$@"', "-")


@dataclass
class Line:
    """One command line of the table, with the lines that belong to it."""

    number: int
    section: str
    text: str
    ways: set[str] = field(default_factory=set)
    known: dict[str, str] = field(default_factory=dict)  # program → why it differs
    code: int = 0  # the answer, where the table records it
    stdout: str = ""
    stderr: str = ""

    @property
    def recorded(self) -> Outcome:
        return Outcome(self.code, self.stdout, self.stderr)

    def differs(self, program: str) -> str:
        """Why this program may answer something else; "" where it may not."""
        return self.known.get(program, "")


class Outcome(NamedTuple):
    code: int
    stdout: str
    stderr: str


def table(path: Path = TABLE) -> list[Line]:
    """Raises ValueError with the place of a line that is none."""
    found: list[Line] = []
    section = ""
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        if raw.startswith("## "):
            section = raw[3:]
        elif raw.startswith("  ~ ") and raw[4:] in NORMALISERS:
            found[-1].ways.add(raw[4:])
        elif raw.startswith("  ! ") and raw[4:].split(" ")[0] in WHO:
            who, _, reason = raw[4:].partition(" ")
            found[-1].known[who] = reason
        elif raw.startswith("  = "):
            found[-1].code = int(raw[4:])
        elif raw.startswith("  >"):
            found[-1].stdout += raw[4:] + "\n"
        elif raw.startswith("  2>"):
            found[-1].stderr += raw[5:] + "\n"
        elif raw and not raw.startswith(("#", " ")):
            found.append(Line(number, section, raw))
        elif raw and not raw.startswith("#"):
            raise ValueError(f"{path.name}:{number}: neither a command nor a note: {raw!r}")
    return found


class Session:
    """One program that speaks to one engine; TOP in a line is a directory of the session's own."""

    def __init__(self, command: list[str], host: str, top: Path, environment: dict[str, str]):
        self.command, self.top = [*command, "-H", host], top
        home = top / "home"
        home.mkdir()
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(home), **environment}

    def run(self, line: Line) -> Outcome:
        words = [word.replace("TOP", str(self.top)) for word in shlex.split(line.text)]
        try:
            done = subprocess.run(
                [*self.command, *words], env=self.environment, cwd=self.top, timeout=30,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return Outcome(-1, "", "did not end within 30 s")
        stdout = "" if "stdout" in line.ways else self._normal(done.stdout, line.ways)
        stderr = "" if "stderr" in line.ways else self._normal(done.stderr, line.ways)
        return Outcome(done.returncode, stdout, stderr)

    def _normal(self, text: str, ways: set[str]) -> str:
        return normal(text.replace(str(self.top), "TOP"), ways)


_ALWAYS = (
    (r"\r", ""),
    (r"sha256:[0-9a-f]{64}", "<id>"),
    (r"\b[0-9a-f]{64}\b", "<id>"),
    (r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{12}\b", "<short>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?[-+]\d{4} UTC|Z|[-+]\d\d:\d\d)", "<time>"),
    (r"\b(Less than a second|About an? \w+|\d+ (seconds?|minutes?|hours?|years?))\b", "<some>"),
    (r"\b(172|10\.(?!213|99))\.\d+\.\d+(\.\d+)?\b", "<ip>"),
    (r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", "<mac>"),
    (r"(?<=:)\d{5}\b", "<port>"),
    (r"\bsampan\b", "docker"),
    (r"\bsmp-[0-9a-f]{8}\b", "docker0"),
    (r"\b(See|S?Run) (?=')(.* --help')( for more information|\.)", r"Run \2"),  # docker says all
    (r"[ \t]+$", ""),
    (r" {2,}", "  "),
)


def normal(text: str, ways: set[str]) -> str:
    """The text without what differs from run to run."""
    if "comments" in ways:
        text = re.sub(r"(?m)^#.*\n?", "", text)
    for pattern, new in _ALWAYS:
        text = re.sub(pattern, new, text, flags=re.MULTILINE)
    if "ids" in ways:
        text = re.sub(r"<short>|<id>", "<any>", text)
    if "numbers" in ways:
        text = re.sub(r"\d+(\.\d+)?", "0", text)
    if "columns" in ways:
        text = re.sub(r"[ \t]+", " ", text)
    if "sorted" in ways:
        text = "".join(sorted(text.splitlines(keepends=True)))
    return text


def play(sessions: dict[str, Session], lines: list[Line]) -> dict[str, list[Outcome]]:
    """Every line in every session, in order; the sessions beside each other."""
    with futures.ThreadPoolExecutor(len(sessions)) as pool:
        running = {
            name: pool.submit(lambda s: [s.run(line) for line in lines], session)
            for name, session in sessions.items()
        }
        return {name: future.result() for name, future in running.items()}
