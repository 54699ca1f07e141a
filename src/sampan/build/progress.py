"""What a build tells while it runs: the seam between the solver and whoever shows it.

Stages run at once, and what can be made ahead does, so calls come from several threads; those about
one step come in order. An implementation may block (a slow client slows the build), and is never
called once `solve` ended.
"""

from __future__ import annotations

from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from sampan.build.checks.rules import Warning

    class Progress(Protocol):
        def begin(self, step: Step) -> None: ...
        def note(self, step: Step, text: str) -> None:
            """A line about it: an image that is pulled, a trigger, a container's name."""

        def output(self, step: Step, stream: int, data: bytes) -> None:
            """What RUN's process wrote on 1 or 2."""

        def cached(self, step: Step, why: str) -> None:
            """It is not done again, or (with a reason) it has to be."""

        def end(self, step: Step, image_id: str) -> None:
            """Without an id it is done before its turn, and ends once more in it."""

        def fail(self, step: Step, error: Exception) -> None: ...
        def end_stage(self, stage: int) -> None: ...
        def warn(self, warnings: tuple[Warning, ...]) -> None: ...
        def finish(self) -> None:
            """`solve` ends, with a result or without."""


class Step(Record):
    number: int  # from 1, over all stages of the build
    total: int
    stage: int
    title: str  # the stage's name or number
    text: str  # the instruction as written
    line: int = 0
