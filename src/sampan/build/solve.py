"""A build: the stages that the target needs, step by step, into a `State`.

`solve(request, workshop, say)` knows no engine. A `Workshop` is what it is handed: it finds images,
stores layers, reads trees and runs processes. A step that makes a layer asks the cache first:

* RUN by the layers below it, its command and its environment (a definition);
* COPY, ADD, WORKDIR by what they would write (a content), whatever lies below.

Everything else only changes the config, which is free. Messages are the classic builder's.
"""

from __future__ import annotations

from sampan.build import cache, copying, files, instructions, parser, running, state
from sampan.build.errors import DockerfileError
from sampan.build.instructions.add import Add
from sampan.build.instructions.arg import Arg
from sampan.build.instructions.copy import Copy
from sampan.build.instructions.run import Run
from sampan.build.instructions.workdir import Workdir
from sampan.build.owners import owner_of
from sampan.build.scope import Scope
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from sampan.build.dockerfile import Dockerfile, Stage
    from sampan.build.files import Files
    from sampan.build.instructions.base import Instruction
    from sampan.build.instructions.sources import Sources
    from sampan.build.scope import Platform
    from sampan.build.state import Layer, State

    class Workshop(Protocol):
        def base(self, name: str, platform: str) -> State:
            """The image that FROM names, pulled if need be; its ONBUILD triggers still there."""

        def tree(self, state: State) -> Files:
            """The files of its layers."""

        def store(self, body: Callable[[Callable[[bytes], object]], None]) -> Layer: ...
        def run(self, state: State, process: running.Process) -> Layer:
            """Raises running.CommandFailed."""

        def recall(self, key: str) -> Layer | None: ...
        def remember(self, key: str, layer: Layer) -> None: ...


class Request(Record):
    dockerfile: Dockerfile
    context: Files
    platform: Platform
    target: str = ""
    args: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    no_cache: bool = False
    network: str = ""
    epoch: int | None = None  # SOURCE_DATE_EPOCH, seconds


def solve(request: Request, workshop: Workshop, say: Callable[[str], object]) -> State:
    return _Build(request, workshop, say).result()


class _Build:
    def __init__(self, request: Request, workshop: Workshop, say: Callable[[str], object]) -> None:
        self.request, self.workshop, self.say = request, workshop, say
        self.file = request.dockerfile
        self.done: dict[int, State] = {}
        self.scopes: dict[int, Scope] = {}
        self.step = 0
        self.outer = Scope.outermost(self.file, request.args, request.platform)

    def result(self) -> State:
        target = self.file.target(self.request.target)
        wanted = self.file.needed(target, self.outer.word)
        stages = [stage for stage in self.file.stages if stage.index in wanted]
        self.total = sum(1 + len(stage.steps) for stage in stages) + bool(self.request.labels)
        for stage in stages:
            self.done[stage.index] = self._stage(stage)
        made = self.done[target.index]
        if self.request.labels:
            text = " ".join(f"{name}={value}" for name, value in self.request.labels.items())
            self._announce(f"LABEL {text}")
            labels = {**(made.inner.get("Labels") or {}), **self.request.labels}
            made = made.having(Labels=labels).noting(f"/bin/sh -c #(nop)  LABEL {text}")
            self._told(made)
        return made

    def _announce(self, text: str) -> None:
        self.step += 1
        self.say(f"Step {self.step}/{self.total} : {text}\n")

    def _told(self, state: State) -> None:
        self.say(f" ---> {state.image_id[7:19]}\n")

    def _stage(self, stage: Stage) -> State:
        self._announce(stage.start.statement.original.strip())
        try:
            current = self._start(stage)
        except DockerfileError as error:
            raise error.at(stage.start.statement.line) from None
        self._told(current)
        scope = Scope(self.file.document.escape, self.request.args, current.env)
        parent = self.file.parent(stage, self.outer.word)
        if parent:
            scope.inherit(self.scopes[parent.index])
        self.scopes[stage.index] = scope
        triggers = current.inner.get("OnBuild") or []
        current = current.having(OnBuild=None)
        for trigger in triggers:
            self.say(f"# Executing build trigger: {trigger}\n")
            current = self._one(instructions.parse(parser.line(trigger)), current, scope, stage)
        for step in stage.steps:
            self._announce(step.statement.original.strip())
            current = self._one(step, current, scope, stage)
            self._told(current)
        return current

    def _start(self, stage: Stage) -> State:
        name = self.outer.word(stage.start.base)
        if not name:
            raise DockerfileError(f"base name ({stage.start.base}) should not be blank")
        parent = self.file.parent(stage, self.outer.word)
        if parent:
            return self.done[parent.index]
        created = state.moment(self.request.epoch) if self.request.epoch is not None else ""
        if name == "scratch":
            return state.scratch(self.request.platform, created or state.moment(0))
        base = self.workshop.base(name, self.outer.word(stage.start.platform))
        return base.replace(config={**base.config, "created": created or base.config["created"]})

    def _one(self, step: Instruction, current: State, scope: Scope, stage: Stage) -> State:
        try:
            return self._dispatch(step, current, scope, stage)
        except DockerfileError as error:
            raise error.at(step.statement.line, step.statement.end) from None

    def _dispatch(self, step: Instruction, current: State, scope: Scope, stage: Stage) -> State:
        if isinstance(step, Arg):
            scope.declare(step, self.outer.args)
            return current.noting(f"/bin/sh -c #(nop)  {step.statement.original.strip()}")
        step = step.expanded(scope)
        if isinstance(step, Run):
            return self._run(step, current, scope)
        if isinstance(step, (Copy, Add)):
            return self._copy(step, current, stage)
        made = state.after(current, step)
        if made is None:
            raise errors.Unsupported(f"{step.name} is not supported yet")
        if isinstance(step, Workdir):
            made = self._directory(made, current)
        scope.env = made.env
        return made

    def _run(self, step: Run, current: State, scope: Scope) -> State:
        declared = {n: scope.args[n] for n in scope.declared if n in scope.args}
        process = running.process_of(step, current, declared, scope.proxies(), self.request.network)
        layer = self._cached(
            process.key(current.chain_id), lambda: self.workshop.run(current, process)
        )
        return current.noting(process.told(), layer)

    def _copy(self, step: Copy | Add, current: State, stage: Stage) -> State:
        source = self._source(step, stage)
        tree = self.workshop.tree(current)
        members = copying.plan(
            step,
            source,
            tree,
            directory=current.inner.get("WorkingDir") or "/",
            owner=owner_of(tree, step.chown) if step.chown else None,
            parents=isinstance(step, Copy) and step.parents,
            keep_owner=isinstance(step, Copy) and bool(step.origin),
        )
        digest = copying.digest(members, source)
        layer = self._layer("copy", digest, members, source)
        where = f" in {step.destination} "
        told = f"{step.name.upper()} {'multi' if len(members) > 1 else 'file'}:{digest}{where}"
        return current.noting(f"/bin/sh -c #(nop) {told}", layer)

    def _source(self, step: Sources, stage: Stage) -> Files:
        if isinstance(step, Copy) and step.origin:
            found = self.file.find(step.origin, before=stage.index)
            made = self.done[found.index] if found else self.workshop.base(step.origin, "")
            return self.workshop.tree(made)
        if isinstance(step, Add):
            _only_local(step, self.request.context)
        return self.request.context

    def _directory(self, made: State, current: State) -> State:
        tree = self.workshop.tree(current)
        owner = owner_of(tree, made.inner.get("User") or "0")
        members = copying.directories(tree, made.inner["WorkingDir"], owner)
        if not members:
            return made
        layer = self._layer("workdir", copying.digest(members, tree), members, tree)
        *before, entry = made.config["history"]
        entry = {key: value for key, value in entry.items() if key != "empty_layer"}
        config = {**made.config, "history": [*before, entry]}
        return made.replace(config=config, layers=(*made.layers, layer))

    def _layer(self, kind: str, digest: str, members: list[copying.Member], source: Files) -> Layer:
        epoch = self.request.epoch
        return self._cached(
            cache.key(kind, digest=digest, epoch=epoch),
            lambda: self.workshop.store(lambda out: copying.write(members, source, out, epoch)),
        )

    def _cached(self, key: str, make: Callable[[], Layer]) -> Layer:
        found = None if self.request.no_cache else self.workshop.recall(key)
        if found:
            self.say(" ---> Using cache\n")
            return found
        made = make()
        self.workshop.remember(key, made)
        return made


_ARCHIVES = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


def _only_local(step: Add, context: Files) -> None:
    for source in step.sources:
        if "://" in source or source.startswith("git@"):
            raise errors.Unsupported(f"ADD {source}: remote sources are not supported yet")
        place = files.resolve(context, source)
        entry = context.entry(place)
        if step.unpack is False or entry is None or not entry.size or entry.kind:
            continue
        start = files.beginning(context, place, 512)
        if start.startswith(_ARCHIVES) or start[257:262] == b"ustar":
            raise errors.Unsupported(f"ADD {source}: unpacking archives is not supported yet")
