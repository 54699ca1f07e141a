"""What a stage makes before its turn: `COPY --link` and `ADD --link`, which need nothing of the
layers below. They are made while the steps before them run, as many at once as there are
processors.

    with Ahead(stage, current) as ahead:      after FROM
        ahead.has(step), ahead.copied(step)   in the step's turn

Only a step's words, arguments and environment count here, and those are known from the start: what
RUN and COPY do changes none of them. What is not clear at once (a user's name) waits for its turn,
and so does whatever is wrong with a step.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from sampan.build import owners, state
from sampan.build.errors import DockerfileError
from sampan.build.instructions.add import Add
from sampan.build.instructions.arg import Arg
from sampan.build.instructions.copy import Copy
from sampan.build.instructions.env import Env
from sampan.build.instructions.run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from typing import Self

    from sampan.build.progress import Progress, Step
    from sampan.build.stages import StageBuild
    from sampan.build.state import Layer, State


class Ahead:
    def __init__(self, stage: StageBuild, current: State, progress: Progress) -> None:
        self._stage, self._current, self._progress = stage, current, progress
        self._made: dict[int, Future[tuple[str, Layer]]] = {}  # by the step's number
        self._pool = ThreadPoolExecutor(max(2, len(os.sched_getaffinity(0))), "ahead")

    def __enter__(self) -> Self:
        for told, step, current in self._linked():
            self._made[told.number] = self._pool.submit(self._one, told, step, current)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def has(self, told: Step) -> bool:
        return told.number in self._made

    def copied(self, told: Step) -> tuple[str, Layer]:
        return self._made[told.number].result()

    def _one(self, told: Step, step: Copy | Add, current: State) -> tuple[str, Layer]:
        self._progress.begin(told)
        made = self._stage.copied(step, current, told)
        self._progress.end(told, "")
        return made

    def _linked(self) -> Iterator[tuple[Step, Copy | Add, State]]:
        """Behind something that may take its time, each with a state of its directory."""
        current, scope = self._current, self._stage.scope
        if scope is None or self._stage.follows_images:
            return
        scope, waits = scope.copy(), False
        for told, step in self._stage.steps():
            try:
                if isinstance(step, Arg):
                    scope.declare(step, self._stage.outer)
                    continue
                known = step.expanded(scope)
                if isinstance(known, (Copy, Add)):
                    if waits and known.link and not owners.named(known.chown):
                        yield told, known, current
                elif not isinstance(known, Run):
                    current = state.after(current, known) or current
                if isinstance(known, Env):
                    scope.set(dict(known.pairs))
            except DockerfileError:
                return
            waits = waits or isinstance(known, (Run, Copy, Add))
