"""The solver's words as BuildKit's vertices.

The solver announces each instruction ("Step 2/4 : RUN make"); BuildKit shows those that make a
layer, numbered within their stage: `[build 2/3] RUN make`. Announcements come in the order of the
Dockerfile, so each is the next statement with that text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sampan.build.instructions.add import Add
from sampan.build.instructions.copy import Copy
from sampan.build.instructions.run import Run
from sampan.build.instructions.workdir import Workdir
from sampan.kit.record import Record

if TYPE_CHECKING:
    from sampan.build.dockerfile import Dockerfile
    from sampan.buildkit.progress import Progress, Vertex

_ANNOUNCED = re.compile(r"Step \d+/\d+ : (.*)\n", re.DOTALL)
_CACHED = " ---> Using cache\n"
_LAYERS = (Run, Copy, Add, Workdir)


class Line(Record):
    """A statement that can be announced."""

    text: str
    title: str  # "" for what only changes the config
    start: int
    end: int


class Steps:
    """`heard` takes what the solver says; `now` is the statement it is at."""

    def __init__(self, file: Dockerfile, progress: Progress) -> None:
        self._lines = _lines(file)
        self._at = 0
        self._progress = progress
        self.now: Line | None = None
        self.vertex: Vertex | None = None

    def heard(self, text: str) -> None:
        if text == _CACHED and self.vertex is not None:
            self.vertex.cached()
        elif found := _ANNOUNCED.fullmatch(text):
            self.end()
            self._begin(found[1])

    def _begin(self, text: str) -> None:
        for at in (*range(self._at, len(self._lines)), *range(self._at)):
            if self._lines[at].text == text:
                self._at, self.now = at + 1, self._lines[at]
                break
        else:
            return
        if self.now is not None and self.now.title:
            self.vertex = self._progress.vertex(self.now.title).__enter__()

    def end(self, error: str = "") -> None:
        if self.vertex is not None:
            self.vertex.end(error)
        self.vertex = None


def _lines(file: Dockerfile) -> list[Line]:
    several = len(file.stages) > 1
    lines: list[Line] = []
    for stage in file.stages:
        name = stage.name or (f"stage-{stage.index}" if several else "")
        total = 1 + sum(isinstance(step, _LAYERS) for step in stage.steps)
        number = 1
        lines.append(_line(stage.start, _title(name, number, total, stage.start)))
        for step in stage.steps:
            title = ""
            if isinstance(step, _LAYERS):
                number += 1
                title = _title(name, number, total, step)
            lines.append(_line(step, title))
    return lines


def _line(step: object, title: str) -> Line:
    statement = step.statement  # type: ignore[attr-defined]
    return Line(
        text=statement.original.strip(), title=title, start=statement.line, end=statement.end
    )


def _title(stage: str, number: int, total: int, step: object) -> str:
    text = " ".join(step.statement.original.split())  # type: ignore[attr-defined]
    place = f"{number:>{len(str(total))}}/{total}"
    return f"[{stage} {place}] {text}" if stage else f"[{place}] {text}"
