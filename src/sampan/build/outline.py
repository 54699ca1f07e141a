"""What a Dockerfile offers, without building it: its stages, and what one of them can be given.

`targets(file)` is what `docker build --call=targets` shows, `outline(file, …)` is `--call=outline`:
the arguments, secrets and agents of a stage and of those that it needs.
Source: moby/buildkit frontend/dockerfile/dockerfile2llb/outline.go, convert.go: ListTargets.
"""

from __future__ import annotations

from sampan.build.instructions.arg import Arg
from sampan.build.instructions.env import Env
from sampan.build.instructions.run import Run
from sampan.build.scope import Scope
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sampan.build.dockerfile import Dockerfile, Stage
    from sampan.build.parser import Statement
    from sampan.build.scope import Platform


class Target(Record):
    name: str
    description: str
    base: str
    platform: str
    line: int
    default: bool


class Parameter(Record):
    """`value` is an argument's; `required` a secret's or an agent's."""

    name: str
    line: int
    end: int
    value: str = ""
    description: str = ""
    required: bool = False


class Outline(Record):
    name: str
    description: str
    args: tuple[Parameter, ...]
    secrets: tuple[Parameter, ...]
    agents: tuple[Parameter, ...]


def targets(file: Dockerfile) -> tuple[Target, ...]:
    return tuple(
        Target(
            name=stage.name,
            description=_described(stage.start.statement, stage.name),
            base=stage.start.base,
            platform=stage.start.platform,
            line=stage.start.statement.line,
            default=stage is file.stages[-1],
        )
        for stage in file.stages
    )


def outline(file: Dockerfile, target: str, given: Mapping[str, str], platform: Platform) -> Outline:
    """Raises DockerfileError where there is no such stage."""
    return _Reader(file, given, platform, target).outline()


class _Reader:
    def __init__(
        self, file: Dockerfile, given: Mapping[str, str], platform: Platform, target: str
    ) -> None:
        self._file, self._given = file, given
        self._target = file.target(target)
        # Before the first FROM: the arguments, and what each is made from.
        self._outer = Scope.outermost(file, given, platform, target)
        self._globals: dict[str, Parameter] = {}
        self._used: set[str] = set()
        self._from: dict[str, set[str]] = {}
        scope = Scope(file.document.escape, given)
        scope.args |= {k: v for k, v in self._outer.args.items() if k not in self._outer.declared}
        for arg in file.arguments:
            scope.used.clear()
            scope.declare(arg)
            for name, _ in arg.pairs:
                self._globals[name] = _argument(arg, name, scope.args.get(name, ""))
                self._from.setdefault(name, set()).update(scope.used)
        self._scopes: dict[int, Scope] = {}
        self._args: list[Parameter] = []
        self._secrets: dict[str, Parameter] = {}
        self._agents: dict[str, Parameter] = {}

    def outline(self) -> Outline:
        wanted = self._file.needed(self._target, self._outer.word)
        for stage in self._file.stages:
            if stage.index in wanted:
                self._stage(stage)
        start = self._target.start.statement
        met = [self._globals[name] for name in self._made_from(self._used)]
        return Outline(
            name=self._target.name,
            description=_described(start, self._target.name),
            args=_sorted([*met, *self._args]),
            secrets=_sorted(self._secrets.values()),
            agents=_sorted(self._agents.values()),
        )

    def _made_from(self, names: Iterable[str]) -> set[str]:
        found: set[str] = set()
        todo = [name for name in names if name in self._globals]
        while todo:
            name = todo.pop()
            if name not in found:
                found.add(name)
                todo += [other for other in self._from[name] if other in self._globals]
        return found

    def _stage(self, stage: Stage) -> None:
        self._outer.used.clear()
        self._outer.word(stage.start.base)
        self._outer.word(stage.start.platform)
        self._used |= self._outer.used
        scope = self._scopes[stage.index] = Scope(self._file.document.escape, self._given)
        parent = self._file.parent(stage, self._outer.word)
        if parent and parent.index in self._scopes:
            scope.inherit(self._scopes[parent.index])
        own: dict[str, Parameter] = {}
        for step in stage.steps:
            if isinstance(step, Arg):
                self._declare(step, scope, own)
            elif isinstance(step, Env):
                scope.set(dict(step.expanded(scope).pairs))
            elif isinstance(step, Run):
                self._mounts(step, scope)
        self._args += own.values()

    def _declare(self, step: Arg, scope: Scope, own: dict[str, Parameter]) -> None:
        scope.declare(step, self._outer.args)
        for name, default in step.pairs:
            inherited = default is None and name not in self._given and name in self._globals
            if inherited:
                self._used.add(name)
            else:
                own[name] = _argument(step, name, scope.args.get(name, ""))

    def _mounts(self, step: Run, scope: Scope) -> None:
        line, end = step.statement.line, step.statement.end
        for mount in step.expanded(scope).mounts:
            found = {"secret": self._secrets, "ssh": self._agents}.get(mount.type)
            if found is not None:
                name = mount.secret if mount.type == "secret" else mount.id or "default"
                one = Parameter(name=name, line=line, end=end, required=mount.required)
                found.setdefault(name, one)


def _argument(arg: Arg, name: str, value: str) -> Parameter:
    statement = arg.statement
    about = _described(statement, name)
    return Parameter(
        name=name, value=value, description=about, line=statement.line, end=statement.end
    )


def _described(statement: Statement, name: str) -> str:
    """A comment right above that begins with the name says what it is."""
    for comment in statement.comments[-1:]:
        word, _, rest = comment.partition(" ")
        if name and word == name:
            return rest.strip()
    return ""


def _sorted(found: Iterable[Parameter]) -> tuple[Parameter, ...]:
    return tuple(sorted(found, key=lambda one: one.line))
