"""Stories that the real compose 2 tells an engine: files, commands, and what must come of each.

`stories.py` is the table, `play` tells one. The whole table runs by `./do conformance compose`,
on Debian's dockerd too (`--on dockerd`), which shows that what it expects is right.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 30  # seconds for what another process brings about


@dataclass
class Step:
    """One compose command. `says`, `silent`: patterns of its output; `lines`: how many of stdout;
    `until`: again until it holds; `beside`: goes on while the next steps are told;
    `write`: (file, text) before it."""

    words: str
    code: int = 0
    says: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    lines: int | None = None
    until: bool = False
    beside: bool = False
    write: tuple[str, str] | None = None
    stdin: str = ""


@dataclass
class Story:
    files: dict[str, str]
    steps: list[Step]
    environment: dict[str, str] = field(default_factory=dict)


def play(name: str, story: Story, program: Path, host: str, directory: Path) -> None:
    """Raises AssertionError with the step; what the story made is gone afterwards."""
    for path, text in story.files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("COMPOSE_")},
        "DOCKER_HOST": host,
        "HOME": str(directory),
        "COMPOSE_PROJECT_NAME": f"story-{name}",
        "COMPOSE_STATUS_STDOUT": "0",
        **story.environment,
    }
    told = _Teller(program, directory, environment)
    try:
        for step in story.steps:
            told.tell(step)
    finally:
        told.end()


class _Teller:
    def __init__(self, program: Path, directory: Path, environment: dict[str, str]) -> None:
        self._program, self._directory, self._environment = program, directory, environment
        self._beside: list[subprocess.Popen[bytes]] = []

    def tell(self, step: Step) -> None:
        if step.beside:
            self._beside.append(
                subprocess.Popen(
                    [self._program, *shlex.split(step.words)],
                    cwd=self._directory,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )
            return
        end = time.monotonic() + PATIENCE
        while wrong := self._wrong(step):
            assert step.until and time.monotonic() < end, wrong
            time.sleep(2 if step.write else 0.1)  # watch waits for half a second of quiet

    def _wrong(self, step: Step) -> str:
        if step.write:  # each time: who watches it may not have looked yet
            (self._directory / step.write[0]).write_text(step.write[1])
        done = self._run(*shlex.split(step.words), stdin=step.stdin)
        said = done.stdout + done.stderr
        why = ""
        if done.returncode != step.code:
            why = f"code {done.returncode} for {step.code}"
        elif missing := [one for one in step.says if not re.search(one, said)]:
            why = f"does not say {missing}"
        elif spoken := [one for one in step.silent if re.search(one, said)]:
            why = f"says {spoken}"
        elif step.lines is not None and done.stdout.count("\n") != step.lines:
            why = f"{done.stdout.count(chr(10))} lines for {step.lines}"
        return f"{step.words}: {why}:\n{said}" if why else ""

    def _run(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *words], cwd=self._directory, env=self._environment, input=stdin,
            capture_output=True, text=True, check=False, timeout=90,
        )  # fmt: skip

    def end(self) -> None:
        for process in self._beside:
            process.terminate()
            process.wait(20)
        self._run("--profile", "*", "down", "-v", "-t", "1", "--remove-orphans", "--rmi", "local")
