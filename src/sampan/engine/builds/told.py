"""A build's progress in the classic builder's words, as docker-py and `docker build` read them.

Steps, stages and platforms of a build run at once but are told one after the other: what a later
one says waits until the earlier ones have ended.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sampan.build import checks
from sampan.spec import docker_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from sampan.build.checks.rules import Warning
    from sampan.build.progress import Step


class Turns:
    """Those who speak at once, in the given order. `say` takes text; it may block, and is called by
    one thread at a time. `heading` is said before the first text."""

    def __init__(
        self, say: Callable[[str], object], order: Iterable[Hashable] = (), heading: str = ""
    ) -> None:
        self._say, self._heading = say, heading
        self._lock = threading.RLock()
        self._waiting: dict[Hashable, list[str]] = {who: [] for who in order}
        self._ended: set[Hashable] = set()

    def say(self, who: Hashable, text: str) -> None:
        with self._lock:
            if who == next(iter(self._waiting), who):
                self._now(text)
            else:
                self._waiting.setdefault(who, []).append(text)

    def end(self, who: Hashable) -> None:
        with self._lock:
            self._ended.add(who)
            while self._waiting and next(iter(self._waiting)) in self._ended:
                self._waiting.pop(next(iter(self._waiting)))
                self._go_on()

    def _go_on(self) -> None:
        for who in [*self._waiting][:1]:
            texts, self._waiting[who] = self._waiting[who], []
            for text in texts:
                self._now(text)

    def _now(self, text: str) -> None:
        if self._heading:
            self._say(self._heading)
            self._heading = ""
        self._say(text)


class Classic:
    def __init__(
        self,
        say: Callable[[str], object],
        numbers: Mapping[int, Iterable[int]] = {},
        *,
        heading: str = "",
        end: Callable[[], object] = lambda: None,
    ) -> None:
        """`numbers` of the steps, by stage, in the order in which they are told; `end` is called
        when all is said."""
        self._say, self._end = say, end
        self._numbers = {stage: set(found) for stage, found in numbers.items()}
        self._turns = Turns(say, [one for found in numbers.values() for one in found], heading)

    def _tell(self, step: Step, text: str) -> None:
        self._numbers.setdefault(step.stage, set()).add(step.number)
        self._turns.say(step.number, text)

    def begin(self, step: Step) -> None:
        self._tell(step, f"Step {step.number}/{step.total} : {step.text}\n")

    def note(self, step: Step, text: str) -> None:
        self._tell(step, text)

    def output(self, step: Step, stream: int, data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        if stream == docker_stream.STDERR:
            text = f"\x1b[91m{text}\x1b[0m"  # as the classic builder tells them apart
        self._tell(step, text)

    def cached(self, step: Step, why: str) -> None:
        self._tell(step, f" ---> {why}\n" if why else " ---> Using cache\n")

    def end(self, step: Step, image_id: str) -> None:
        if image_id:
            self._tell(step, f" ---> {image_id[7:19]}\n")
            self._turns.end(step.number)

    def fail(self, step: Step, error: Exception) -> None:
        pass  # the stream's last line says it

    def end_stage(self, stage: int) -> None:
        for number in sorted(self._numbers.get(stage, ())):
            self._turns.end(number)

    def warn(self, warnings: tuple[Warning, ...]) -> None:
        if warnings:
            self._say(checks.summary(warnings))

    def finish(self) -> None:
        self._end()


class Silent(Classic):
    def __init__(self) -> None:
        super().__init__(lambda _text: None)
