"""The solver's steps as BuildKit's vertices.

BuildKit shows the instructions that make a layer, numbered within their stage:
`[build 2/3] RUN make`. The solver tells of its steps from several threads; vertices belong to the
event loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.build import running
from sampan.build.instructions.add import Add
from sampan.build.instructions.copy import Copy
from sampan.build.instructions.run import Run
from sampan.build.instructions.workdir import Workdir

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from sampan.build.checks.rules import Warning
    from sampan.build.dockerfile import Dockerfile
    from sampan.build.instructions.base import Instruction
    from sampan.build.progress import Step
    from sampan.buildkit.progress import Progress, Vertex

_LAYERS = (Run, Copy, Add, Workdir)


class Steps:
    """A `build.progress.Progress`; `failed` has the lines of steps that did, by their errors."""

    def __init__(
        self,
        file: Dockerfile,
        progress: Progress,
        loop: asyncio.AbstractEventLoop,
        describe: Callable[[int, int], dict[str, Any]],
        platform: str = "",
    ) -> None:
        """`platform` is shown where there are several."""
        self._titles, self._ends = _titles(file, platform), _ends(file)
        self._progress, self._loop, self._describe = progress, loop, describe
        self._open: dict[int, Vertex] = {}
        self.failed: dict[BaseException, tuple[int, int]] = {}

    def begin(self, step: Step) -> None:
        if title := self._titles.get(step.line):
            self._later(self._begin, step.number, title)

    def _begin(self, number: int, title: str) -> None:
        self._open[number] = self._progress.vertex(title).__enter__()

    def _later(self, work: Callable[..., object], *args: object) -> None:
        self._loop.call_soon_threadsafe(work, *args)

    def note(self, step: Step, text: str) -> None:
        pass  # the classic builder's words

    def output(self, step: Step, stream: int, data: bytes) -> None:
        self._later(self._log, step.number, stream, data)

    def _log(self, number: int, stream: int, data: bytes) -> None:
        if number in self._open:
            self._open[number].log(stream, data)

    def cached(self, step: Step, why: str) -> None:
        if not why:
            self._later(self._cached, step.number)

    def _cached(self, number: int) -> None:
        if number in self._open:
            self._open[number].cached()

    def end(self, step: Step, image_id: str) -> None:
        self._later(self._end, step.number, "")

    def fail(self, step: Step, error: Exception) -> None:
        self.failed.setdefault(error, (step.line, self._ends.get(step.line, step.line)))
        self._later(self._end, step.number, said(error))

    def _end(self, number: int, error: str) -> None:
        vertex = self._open.pop(number, None)
        if vertex is not None:
            vertex.end(error)

    def end_stage(self, stage: int) -> None:
        pass

    def finish(self) -> None:
        pass  # `end_all` comes

    def warn(self, warnings: tuple[Warning, ...]) -> None:
        for one in warnings:
            self._later(self._warn, one)

    def _warn(self, one: Warning) -> None:
        self._progress.warn(
            {
                "level": 1,
                "short": f"{one.rule}: {one.message} (line {one.line})".encode(),
                "detail": [one.reason.encode()],
                "url": one.url,
                **self._describe(one.line, one.end),
            }
        )

    def end_all(self, error: str = "") -> None:
        """Called on the loop."""
        for number in [*self._open]:
            self._end(number, error)


def said(error: BaseException) -> str:
    """BuildKit's words."""
    if isinstance(error, running.CommandFailed):
        command = " ".join(error.command)
        return f'process "{command}" did not complete successfully: exit code: {error.code}'
    return str(error) or type(error).__name__


def _titles(file: Dockerfile, platform: str) -> dict[int, str]:
    """By line; what only changes the config has none."""
    several = len(file.stages) > 1
    found: dict[int, str] = {}
    for stage in file.stages:
        name = stage.name or (f"stage-{stage.index}" if several else "")
        name = f"{platform} {name}".strip()
        layers = [step for step in stage.steps if isinstance(step, _LAYERS)]
        # Nothing is done for these two, so that BuildKit does not count them.
        nothing = stage.start.base == "scratch" or file.find(stage.start.base, stage.index)
        shown = layers if nothing else [stage.start, *layers]
        for number, step in enumerate(shown, 1):
            found[step.statement.line] = _title(name, number, len(shown), step)
    return found


def _ends(file: Dockerfile) -> dict[int, int]:
    steps = [step for stage in file.stages for step in (stage.start, *stage.steps)]
    return {step.statement.line: step.statement.end for step in steps}


def _title(stage: str, number: int, total: int, step: Instruction) -> str:
    text = " ".join(step.statement.original.split())
    place = f"{number:>{len(str(total))}}/{total}"
    return f"[{stage} {place}] {text}" if stage else f"[{place}] {text}"
