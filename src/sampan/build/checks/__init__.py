"""Build checks: what works but should not be written so.

`look(file, Inputs)` reads a parsed Dockerfile as a build of its target would; nothing is executed.
A base image that is not at hand (`Inputs.base` gives None) makes no check wrong, only silent.
"""

from __future__ import annotations

import posixpath

from sampan.build.checks import settings, wording
from sampan.build.checks.collector import Collector
from sampan.build.checks.meaning import StageCheck
from sampan.build.errors import DockerfileError, excerpt
from sampan.build.instructions.base import did_you_mean
from sampan.build.scope import Platform, Scope
from sampan.build.state import DEFAULT_PATH
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.spec import reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from sampan.build.checks.rules import Warning
    from sampan.build.dockerfile import Dockerfile, Stage
    from sampan.build.ignore import Matcher


class Inputs(Record):
    platform: Platform
    args: Mapping[str, str] = {}
    target: str = ""
    alone: bool = False  # nothing is built: without a target all stages are looked at
    ignored: Matcher | None = None  # .dockerignore
    base: Callable[[str, str], Mapping[str, Any] | None] = lambda _name, _platform: None
    # (image, platform) → its config, None if nobody knows


class Violations(DockerfileError):
    """`# check=error=true`, and something was found."""

    def __init__(self, warnings: Iterable[Warning]) -> None:
        self.warnings = known = tuple(warnings)
        names = dict.fromkeys(warning.rule for warning in known)
        text = f"lint violation found for rules: {', '.join(names)}"
        super().__init__(text, known[0].line, known[0].end)


def demanded(file: Dockerfile, args: Mapping[str, str]) -> bool:
    """Whether a warning is to end the build."""
    return settings.of(file.document.directives.get("check"), args).error


def look(file: Dockerfile, inputs: Inputs) -> tuple[Warning, ...]:
    found = Collector(settings.of(file.document.directives.get("check"), inputs.args))
    wording.look(file, found)
    _Checks(file, inputs, found).look()
    return found.warnings()


class _Checks:
    def __init__(self, file: Dockerfile, inputs: Inputs, found: Collector) -> None:
        self._file, self._inputs, self._found = file, inputs, found
        self._outer = Scope.outermost(file, inputs.args, inputs.platform, inputs.target)
        self._done: dict[int, StageCheck] = {}

    def look(self) -> None:
        for stage in self._file.stages:
            self._start(stage)
        self._defaults()
        target = self._file.target(self._inputs.target)
        needed = self._file.needed(target, self._outer.word)
        every = self._inputs.alone and not self._inputs.target
        for stage in self._file.stages:
            if every or stage.index in needed:
                self._stage(stage)

    def _start(self, stage: Stage) -> None:
        start = stage.start
        self._outer.missing.clear()
        self._outer.word(start.base)
        missing = set(self._outer.missing)
        if start.platform:
            self._outer.missing.clear()
            self._outer.used.clear()
            platform = self._outer.word(start.platform)
            missing |= self._outer.missing
            self._platform(stage, platform)
        known = (*self._outer.args, *self._outer.declared)
        for name in sorted(missing - set(self._outer.declared)):
            hint = did_you_mean(name, known)
            self._found.add("UndefinedArgInFrom", name, of=start.statement, hint=hint)

    def _platform(self, stage: Stage, platform: str) -> None:
        start, used = stage.start, self._outer.used
        if used == {"TARGETPLATFORM"} and not self._outer.missing:
            if platform == str(self._inputs.platform):
                self._found.add("RedundantTargetPlatform", start.platform, of=start.statement)
        elif not used and not self._outer.missing and not _named(platform, stage.name):
            self._found.add("FromPlatformFlagConstDisallowed", platform, of=start.statement)

    def _defaults(self) -> None:
        """Without any --build-arg every FROM should still name an image."""
        try:
            plain = Scope.outermost(self._file, {}, self._inputs.platform)
            names = [plain.word(stage.start.base) for stage in self._file.stages]
        except DockerfileError:
            return  # the build itself will say so
        for stage, name in zip(self._file.stages, names, strict=True):
            try:
                reference.parse(name)
            except errors.InvalidArgument:
                base = stage.start.base
                self._found.add("InvalidDefaultArgInFrom", base, of=stage.start.statement)

    def _stage(self, stage: Stage) -> None:
        parent = self._file.parent(stage, self._outer.word)
        before = self._done.get(parent.index) if parent else None
        config = self._base(stage) if before is None else {}
        inner = (config or {}).get("config") or {}
        pairs = (text.partition("=") for text in inner.get("Env") or [])
        env = {"PATH": DEFAULT_PATH, **{name: value for name, _, value in pairs}}
        if before is not None:
            env = before.scope.env
        scope = Scope(self._file.document.escape, self._inputs.args, env)
        check = StageCheck(scope, self._outer, self._found, self._inputs.ignored,
                           inner if config is not None else None)  # fmt: skip
        if before is not None:
            scope.inherit(before.scope)
            check.base_known, check.shell = before.base_known, before.shell
            check.workdir = before.workdir
        self._done[stage.index] = check
        try:
            check.look(stage)
        except DockerfileError:
            return  # `${x:?}` and its like: the build's own error

    def _base(self, stage: Stage) -> Mapping[str, Any] | None:
        name = self._outer.word(stage.start.base)
        if name == "scratch":
            return {}
        wanted = self._outer.word(stage.start.platform)
        config = self._inputs.base(name, wanted)
        if config is not None:
            self._actual(stage, name, wanted or str(self._inputs.platform), config)
        return config

    def _actual(self, stage: Stage, name: str, wanted: str, config: Mapping[str, Any]) -> None:
        parts = (config.get("os"), config.get("architecture"), config.get("variant"))
        actual = "/".join(str(part) for part in parts if part)
        if actual.split("/")[:2] != wanted.split("/")[:2]:
            statement = stage.start.statement
            self._found.add("InvalidBaseImagePlatform", name, actual, wanted, of=statement)


def _named(platform: str, stage: str) -> bool:
    """Whether the stage's name says which platform it is for."""
    return any(part and part in stage for part in platform.split("/")[:2])


def summary(warnings: tuple[Warning, ...]) -> str:
    """What stands at the end of a build; empty if there is nothing to say."""
    if not warnings:
        return ""
    lines = [f" - {w.rule}: {w.message} (line {w.line})\n" for w in warnings]
    return f"\n {_count(warnings)} found (`build --check` shows the places):\n{''.join(lines)}"


def full(warnings: tuple[Warning, ...], text: str, name: str) -> str:
    """What `--check` prints: each with its place and the lines about it."""
    if not warnings:
        return "Check complete, no warnings found.\n"
    verb = "has" if len(warnings) == 1 else "have"
    pieces = [f"Check complete, {_count(warnings)} {verb} been found!\n"]
    for warning in warnings:
        link = f" - {warning.url}" if warning.url else ""
        place = DockerfileError(warning.message, warning.line, warning.end)
        shown = excerpt(place, text, posixpath.basename(name))
        pieces.append(f"\nWARNING: {warning.rule}{link}\n{warning.message}\n{shown}\n")
    return "".join(pieces)


def _count(warnings: tuple[Warning, ...]) -> str:
    return f"{len(warnings)} warning{'s' if len(warnings) != 1 else ''}"
