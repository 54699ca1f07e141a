"""One stage, step by step. A step that makes a layer asks the cache first:

* RUN by the layers below it, its command and its environment (a definition);
* COPY, ADD, WORKDIR by what they would write (a content), whatever lies below.

Everything else only changes the config, which is free.
"""

from __future__ import annotations

import functools

from sampan.build import (
    adding,
    copying,
    entitlements,
    files,
    instructions,
    named,
    owners,
    parser,
    progress,
    running,
    state,
)
from sampan.build.ahead import Ahead
from sampan.build.errors import DockerfileError
from sampan.build.instructions.add import Add
from sampan.build.instructions.arg import Arg
from sampan.build.instructions.copy import Copy
from sampan.build.instructions.env import Env
from sampan.build.instructions.run import Run
from sampan.build.instructions.workdir import Workdir
from sampan.build.obtaining import Obtaining
from sampan.build.scope import Platform, Scope
from sampan.kit import collector, errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sampan.build.dockerfile import Stage
    from sampan.build.files import Files
    from sampan.build.instructions.base import Instruction
    from sampan.build.progress import Step
    from sampan.build.solve import Request, Workshop, _Build
    from sampan.build.state import Layer, State


class StageBuild:
    def __init__(self, build: _Build, stage: Stage, number: int, total: int) -> None:
        self._build, self.stage = build, stage
        self._number, self._total = number, total
        self._obtain = Obtaining(build, stage.title)
        self.scope: Scope | None = None

    @property
    def _request(self) -> Request:
        return self._build.request

    @property
    def outer(self) -> Mapping[str, str]:
        """The arguments before the first FROM."""
        return self._build.outer.args

    @property
    def follows_images(self) -> bool:
        """Whether the cache is --cache-from's histories, which want every step in its turn."""
        return self._request.cache_from is not None

    @property
    def _workshop(self) -> Workshop:
        return self._build.workshop

    def made(self, labels: Mapping[str, str]) -> State:
        try:
            current = self._begun()
            with Ahead(self, current, self._build.progress) as ahead:
                try:
                    for told, step in self.steps():
                        current = self._turn(step, current, told, ahead)
                except BaseException:
                    self._workshop.abandon()  # what was begun ahead, too
                    raise
            return self._labelled(current, labels) if labels else current
        finally:
            self._build.progress.end_stage(self.stage.index)

    def steps(self) -> Iterator[tuple[Step, Instruction]]:
        """Behind FROM."""
        for at, step in enumerate(self.stage.steps, 1):
            yield self._step(step.statement.original.strip(), at, step.statement.line), step

    def _turn(self, step: Instruction, current: State, told: Step, ahead: Ahead) -> State:
        if not ahead.has(told):
            return self._told(told, functools.partial(self._one, step, current, told))

        def made() -> State:
            noted, layer = ahead.copied(told)
            return self._stacked(current.noting(noted, layer))

        try:
            return self._told(told, made, begun=True)
        except DockerfileError as error:
            raise error.at(step.statement.line, step.statement.end) from None

    def _step(self, text: str, at: int, line: int = 0) -> Step:
        return progress.Step(
            number=self._number + at,
            total=self._total,
            stage=self.stage.index,
            title=self.stage.title,
            text=text,
            line=line,
        )

    def _told(self, step: Step, work: Callable[[], State], *, begun: bool = False) -> State:
        if not begun:
            self._build.progress.begin(step)
        try:
            made = work()
        except Exception as error:
            self._build.progress.fail(step, error)
            raise
        self._build.progress.end(step, made.image_id)
        return made

    def _labelled(self, made: State, labels: Mapping[str, str]) -> State:
        text = " ".join(f"{name}={value}" for name, value in labels.items())
        step = self._step(f"LABEL {text}", 1 + len(self.stage.steps))
        merged = {**(made.inner.get("Labels") or {}), **labels}
        note = f"/bin/sh -c #(nop)  LABEL {text}"
        return self._told(step, lambda: made.having(Labels=merged).noting(note))

    # -- FROM

    def _begun(self) -> State:
        statement = self.stage.start.statement
        step = self._step(statement.original.strip(), 0, statement.line)
        try:
            current = self._told(step, self._start)
        except DockerfileError as error:
            raise error.at(statement.line) from None
        self.scope = scope = Scope(
            self._build.file.document.escape, self._request.args, current.env
        )
        parent = self._build.file.parent(self.stage, self._build.outer.word)
        before = self._build.stages[parent.index].scope if parent else None
        if before is not None:
            scope.inherit(before)
        triggers = current.inner.get("OnBuild") or []
        current = current.having(OnBuild=None)
        for trigger in triggers:
            self._build.progress.note(step, f"# Executing build trigger: {trigger}\n")
            current = self._one(instructions.parse(parser.line(trigger)), current, step)
        return current

    def _start(self) -> State:
        outer = self._build.outer
        name = outer.word(self.stage.start.base)
        if not name:
            raise DockerfileError(f"base name ({self.stage.start.base}) should not be blank")
        parent = self._build.file.parent(self.stage, outer.word)
        if parent:
            return self._build.waited(parent).replace(commanded=False)
        epoch = self._request.epoch
        created = state.moment(epoch) if epoch is not None else ""
        if name == "scratch":
            asked = outer.platform(self.stage.start.platform) or str(self._request.platform)
            return state.scratch(Platform.of(asked), created or state.moment(0))
        base = named.image(self._build, name, outer.platform(self.stage.start.platform))
        return base.begun(created)

    # -- the others

    def _one(self, step: Instruction, current: State, told: Step) -> State:
        try:
            return self._dispatch(step, current, told)
        except DockerfileError as error:
            raise error.at(step.statement.line, step.statement.end) from None

    def _dispatch(self, step: Instruction, current: State, told: Step) -> State:
        scope = self.scope
        assert scope is not None
        if isinstance(step, Arg):
            scope.declare(step, self.outer)
            text = f"/bin/sh -c #(nop)  {step.statement.original.strip()}"
            return self._obtain.free(told, current, current.noting(text))
        step = step.expanded(scope)
        if isinstance(step, Run):
            return self._run(step, current, scope, told)
        if isinstance(step, (Copy, Add)):
            return self._copy(step, current, told)
        made = state.after(current, step)
        if made is None:
            raise errors.Unsupported(f"{step.name} is not supported yet")
        if isinstance(step, Env):
            scope.set(dict(step.pairs))
        if isinstance(step, Workdir):
            return self._directory(made, current, told)
        return self._obtain.free(told, current, made)

    def _run(self, step: Run, current: State, scope: Scope, told: Step) -> State:
        declared = scope.arguments()
        process = running.process_of(
            step, current, declared, scope.proxies(), self._request.network
        )
        entitlements.check(process, self._request.network, self._request.allowed)
        binds = {
            number: named.bind(self._build, mount, self.stage)
            for number, mount in enumerate(process.mounts)
            if mount.type == "bind" or (mount.type == "cache" and mount.origin)
        }
        process = process.replace(binds=binds, epoch=self._request.epoch)

        def tell(stream: int, data: bytes) -> None:
            if stream:
                self._build.progress.output(told, stream, data)
            else:
                self._build.progress.note(told, data.decode())

        note = process.told()
        run = functools.partial(self._workshop.run, current, process, tell)
        parts = process.parts(current.chain_id)
        layer = self._obtain.layer(told, current.noting(note), parts, run)
        return self._stacked(current.noting(note, layer))

    def _copy(self, step: Copy | Add, current: State, told: Step) -> State:
        noted, layer = self.copied(step, current, told)
        return self._stacked(current.noting(noted, layer))

    def copied(self, step: Copy | Add, current: State, told: Step) -> tuple[str, Layer]:
        """The words of its history, and its layer. With --link `current`'s directory is enough."""
        parts = self._parts(step)
        linked = step.link and not owners.named(step.chown)
        tree = files.NOTHING if linked else self._workshop.tree(current)
        with collector.paused():
            members = copying.plan(
                step,
                parts,
                files.NOTHING if step.link else tree,
                directory=current.inner.get("WorkingDir") or "/",
                owner=owners.owner_of(tree, step.chown) if step.chown else None,
                parents=isinstance(step, Copy) and step.parents,
                keep_owner=isinstance(step, Copy) and bool(step.origin),
            )
            digest = copying.digest(members)
            kind = "multi" if len(members) > 1 else "file"
            what = f"{step.name.upper()} {kind}:{digest} in {step.destination} "
            noted = f"/bin/sh -c #(nop) {what}"
            made = current.noting(noted)
            return noted, self._obtain.copied(told, made, "copy", digest, members)

    def _parts(self, step: Copy | Add) -> list[copying.Part]:
        if isinstance(step, Add):
            workshop = self._workshop
            return adding.parts(step, self._request.context, workshop.scratch, workshop.material)
        source: Files = self._request.context
        if step.origin:
            source = named.tree(self._build, step.origin, self.stage)
        return [copying.Part(files=source, pattern=pattern) for pattern in step.sources]

    def _directory(self, made: State, current: State, told: Step) -> State:
        tree = self._workshop.tree(current)
        owner = owners.owner_of(tree, made.inner.get("User") or "0")
        members = copying.directories(tree, made.inner["WorkingDir"], owner)
        if not members:
            return self._obtain.free(told, current, made)
        layer = self._obtain.copied(told, made, "workdir", copying.digest(members), members)
        *before, entry = made.config["history"]
        entry = {key: value for key, value in entry.items() if key != "empty_layer"}
        config = {**made.config, "history": [*before, entry]}
        return self._stacked(made.replace(config=config, layers=(*made.layers, layer)))

    def _stacked(self, made: State) -> State:
        self._workshop.stacked(made)
        return made
