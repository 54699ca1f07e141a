"""A build: the stages that the target needs, each in a thread, into a `State`.

`solve(request, workshop, progress)` knows no engine. A `Workshop` is what it is handed: it finds
images, stores layers, reads trees and runs processes. A stage waits for another one only where it
starts from it, copies from it or mounts it. What one stage does is `stages`.
"""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait

from sampan.build import checks, entitlements
from sampan.build.scope import Scope
from sampan.build.stages import StageBuild
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from typing import Any, Protocol

    from sampan.build import running
    from sampan.build.checks.rules import Warning
    from sampan.build.dockerfile import Dockerfile, Stage
    from sampan.build.explain import Parts
    from sampan.build.files import Files
    from sampan.build.ignore import Matcher
    from sampan.build.progress import Progress
    from sampan.build.scope import Platform
    from sampan.build.state import Layer, State
    from sampan.image import tar

    class Workshop(Protocol):
        """Called from the threads of several stages."""

        scratch: str  # a directory that is gone after the build

        def base(self, name: str, platform: str) -> State:
            """The image that FROM names, pulled if need be; its ONBUILD triggers still there."""

        def tree(self, state: State) -> Files:
            """The files of its layers."""

        def store(
            self, body: Callable[[tar.Writer], object], *, latest: int | None = None
        ) -> Layer:
            """A layer of the tar that `body` writes, none of it younger than `latest` (seconds)."""

        def stacked(self, state: State) -> None:
            """A layer that was stored is the top of this state."""

        def run(
            self, state: State, process: running.Process, tell: Callable[[int, bytes], object]
        ) -> Layer:
            """Raises running.CommandFailed. `tell` has the stream (1, 2) and what is written;
            stream 0 is a note of the workshop's own."""

        def alone(self, parts: Parts) -> AbstractContextManager[object]:
            """While one has it, the others who would make the same wait for what it makes."""

        def recall(self, parts: Parts, *, fresh: bool = False) -> Layer | None:
            """`fresh`: only what this build has made, for another stage or platform."""

        def seen(self, key: str) -> bool:
            """Whether a step that makes no layer was done before; from now on it was."""

        def remember(self, parts: Parts, layer: Layer, what: str, ident: str) -> None:
            """`what` are the step's words, `ident` is explain's name of it."""

        def trace(self, ident: str) -> bytes | None:
            """What `explain.packed` gave when the step was done last."""

        def material(self, uri: str, digest: str) -> None:
            """What the build was made from, for its provenance."""

        def abandon(self) -> None:
            """Another stage has failed: what runs is to end, what waits is not to begin."""


WORKERS = 4  # stages at once
_SOURCE_DATE_EPOCH = "SOURCE_DATE_EPOCH"


class Request(Record):
    dockerfile: Dockerfile
    context: Files
    platform: Platform  # of the result
    base_platform: str = ""  # of images that no --platform is for; "": whatever is here
    target: str = ""
    args: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    no_cache: bool = False
    no_cache_stages: tuple[str, ...] = ()  # --no-cache-filter
    explain: bool = False  # say of each step why it is done again
    network: str = ""
    epoch: int | None = None  # SOURCE_DATE_EPOCH, seconds
    ignored: Matcher | None = None  # .dockerignore, for the checks
    text: str = ""  # the Dockerfile's
    contexts: Mapping[str, Files | str] = {}  # --build-context: a tree, or an image's name
    cache_from: tuple[State, ...] | None = None  # these images alone are the cache
    allowed: frozenset[str] = frozenset()  # --allow, see `entitlements`


def numbers_of(request: Request) -> dict[int, range]:
    """The stages that will be made, in order, and the numbers of their steps."""
    file = request.dockerfile.without(request.contexts)
    outer = Scope.outermost(file, request.args, request.platform, request.target)
    found: dict[int, range] = {}
    number = 1
    for index in sorted(file.needed(file.target(request.target), outer.word)):
        end = number + 1 + len(file.stages[index].steps)
        found[index] = range(number, end)
        number = end
    return found


def solve(request: Request, workshop: Workshop, progress: Progress) -> State:
    try:
        return _Build(request, workshop, progress).result()
    finally:
        progress.finish()


def epoch_of(text: str) -> int | None:
    if text and not text.isdecimal():
        raise errors.InvalidArgument(f"SOURCE_DATE_EPOCH={text}: not a number of seconds")
    return int(text) if text else None


class _Build:
    def __init__(self, request: Request, workshop: Workshop, progress: Progress) -> None:
        self.workshop, self.progress = workshop, progress
        self.file = request.dockerfile.without(request.contexts)
        self.outer = Scope.outermost(self.file, request.args, request.platform, request.target)
        epoch = request.epoch
        if epoch is None:
            given = request.args.get(_SOURCE_DATE_EPOCH)  # declared or not, as BuildKit takes it
            epoch = epoch_of(given or self.outer.args.get(_SOURCE_DATE_EPOCH, ""))
        self.request = request.replace(epoch=epoch)
        self.stages: dict[int, StageBuild] = {}
        self.results: dict[int, Future[State]] = {}
        self._bases: dict[tuple[str, str], State] = {}
        self._looking = threading.Lock()
        self._number, self._total = 1, 0  # of the steps: the next one's, all of them

    def result(self) -> State:
        entitlements.known(self.request.allowed)
        target = self.file.target(self.request.target)
        wanted = self.file.needed(target, self.outer.word)
        stages = [stage for stage in self.file.stages if stage.index in wanted]
        if checks.demanded(self.file, self.request.args):
            found = self._check(self.base)
            if found:
                raise checks.Violations(found)
        try:
            made = self._solved(stages)[target.index]
        finally:
            self.progress.warn(self._check(self._seen))
        return made

    def _solved(self, stages: list[Stage]) -> dict[int, State]:
        labels = self.request.labels
        self._total = sum(1 + len(stage.steps) for stage in stages) + bool(labels)
        with ThreadPoolExecutor(min(len(stages), WORKERS), "stage") as pool:
            for stage in stages:
                build = StageBuild(self, stage, self._number, self._total)
                self.stages[stage.index] = build
                self._number += 1 + len(stage.steps)
            # In their order: a stage needs earlier ones only, so that a full pool still moves.
            for stage in stages:
                # The dictionary is whole before any of them looks for another.
                self.results[stage.index] = Future()
            work = [pool.submit(self._one, stage) for stage in stages]
            finished, _ = wait(work, return_when=FIRST_EXCEPTION)
            if any(item.exception() for item in finished):
                self.workshop.abandon()
        if failure := reason(item.exception() for item in work):
            raise failure
        return {index: future.result() for index, future in self.results.items()}

    def _one(self, stage: Stage) -> None:
        future = self.results[stage.index]
        try:
            last = max(self.results) == stage.index
            future.set_result(self.stages[stage.index].made(self.request.labels if last else {}))
        except BaseException as error:
            future.set_exception(error)
            raise

    def waited(self, stage: Stage) -> State:
        """A stage's result. One that only a trigger of a base image asks for is made here."""
        with self._looking:
            late = stage.index not in self.results
            if late:
                self.results[stage.index] = Future()
                self.stages[stage.index] = StageBuild(self, stage, self._number, self._total)
                self._number += 1 + len(stage.steps)
        if late:
            self._one(stage)
        return self.results[stage.index].result()

    def base(self, name: str, platform: str) -> Mapping[str, Any]:
        return self.image(name, platform).config

    def image(self, name: str, platform: str) -> State:
        platform = platform or self.request.base_platform
        key = (name, platform)
        if key not in self._bases:
            found = self.workshop.base(name, platform)
            with self._looking:
                self._bases.setdefault(key, found)
        return self._bases[key]

    def _seen(self, name: str, platform: str) -> Mapping[str, Any] | None:
        found = self._bases.get((name, platform or self.request.base_platform))
        return found.config if found else None

    def _check(self, base: Callable[[str, str], Mapping[str, Any] | None]) -> tuple[Warning, ...]:
        inputs = checks.Inputs(
            platform=self.request.platform,
            args=self.request.args,
            target=self.request.target,
            ignored=self.request.ignored,
            base=base,
        )
        return checks.look(self.file, inputs)


def reason(failures: Iterable[BaseException | None]) -> BaseException | None:
    """The first of them; rather none that failed only because the build was given up."""
    found = [one for one in failures if one is not None]
    real = [one for one in found if not isinstance(one, errors.Unavailable)]
    return next(iter([*real, *found]), None)
