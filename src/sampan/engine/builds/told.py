"""A build's progress in the classic builder's words, as docker-py and `docker build` read them.

Stages run at once but are told one after the other: what a later one says waits until the earlier
ones have ended.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sampan.build import checks
from sampan.spec import docker_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.build.checks.rules import Warning
    from sampan.build.progress import Step


class Classic:
    """`say` takes text; it may block, and is called by one thread at a time."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._lock = threading.RLock()
        self._waiting: dict[int, list[str]] = {}  # by stage, in the order of their beginning
        self._ended: set[int] = set()
        self._heading = ""

    def expect(self, stages: list[int], heading: str = "") -> None:
        self._waiting = {stage: [] for stage in stages}
        self._heading = heading  # said before everything else

    def _tell(self, stage: int, text: str) -> None:
        with self._lock:
            first = next(iter(self._waiting), stage)
            if self._heading:
                self._say(self._heading)
                self._heading = ""
            if stage == first:
                self._say(text)
            else:
                self._waiting.setdefault(stage, []).append(text)

    def begin(self, step: Step) -> None:
        self._tell(step.stage, f"Step {step.number}/{step.total} : {step.text}\n")

    def note(self, step: Step, text: str) -> None:
        self._tell(step.stage, text)

    def output(self, step: Step, stream: int, data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        if stream == docker_stream.STDERR:
            text = f"\x1b[91m{text}\x1b[0m"  # as the classic builder tells them apart
        self._tell(step.stage, text)

    def cached(self, step: Step, why: str) -> None:
        self._tell(step.stage, f" ---> {why}\n" if why else " ---> Using cache\n")

    def end(self, step: Step, image_id: str) -> None:
        self._tell(step.stage, f" ---> {image_id[7:19]}\n")

    def fail(self, step: Step, error: Exception) -> None:
        pass  # the stream's last line says it

    def end_stage(self, stage: int) -> None:
        with self._lock:
            self._ended.add(stage)
            while self._waiting and next(iter(self._waiting)) in self._ended:
                self._waiting.pop(next(iter(self._waiting)))
                for text in self._next():
                    self._say(text)

    def _next(self) -> list[str]:
        if not self._waiting:
            return []
        stage = next(iter(self._waiting))
        texts, self._waiting[stage] = self._waiting[stage], []
        return texts

    def warn(self, warnings: tuple[Warning, ...]) -> None:
        if warnings:
            with self._lock:
                self._say(checks.summary(warnings))


class Silent(Classic):
    def __init__(self) -> None:
        super().__init__(lambda _text: None)
