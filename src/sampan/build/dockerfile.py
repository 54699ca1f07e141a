"""A whole Dockerfile: the arguments before the first stage, then the stages."""

from __future__ import annotations

from sampan.build import instructions, parser
from sampan.build.errors import DockerfileError
from sampan.build.instructions import run_mount
from sampan.build.instructions.arg import Arg
from sampan.build.instructions.base import Instruction, did_you_mean
from sampan.build.instructions.copy import Copy
from sampan.build.instructions.from_ import From
from sampan.build.instructions.run import Run
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container


class Stage(Record):
    index: int
    start: From
    steps: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        return self.start.stage

    def unnamed(self, names: Container[str]) -> Stage:
        if self.name not in names:
            return self
        return self.replace(start=self.start.replace(stage=""))

    @property
    def title(self) -> str:
        return self.name or str(self.index)


class Dockerfile(Record):
    document: parser.Document
    arguments: tuple[Arg, ...]  # before the first FROM
    stages: tuple[Stage, ...]

    def without(self, names: Container[str]) -> Dockerfile:
        """Named contexts take the place of stages of their names."""
        if not any(stage.name and stage.name in names for stage in self.stages):
            return self
        return self.replace(stages=tuple(stage.unnamed(names) for stage in self.stages))

    def find(self, name: str, before: int | None = None) -> Stage | None:
        """The stage of that name or number; of several with one name the last."""
        known = self.stages[:before]
        for stage in reversed(known):
            if stage.name and stage.name == name.lower():
                return stage
        return known[int(name)] if name.isdecimal() and int(name) < len(known) else None

    def parent(self, stage: Stage, word: Callable[[str], str]) -> Stage | None:
        """The stage that this one starts from; a number names an image here, not a stage."""
        name = word(stage.start.base)
        return None if name.isdecimal() else self.find(name, before=stage.index)

    def needed(self, stage: Stage, word: Callable[[str], str]) -> set[int]:
        """The stages that this one starts from, copies from or mounts, and itself."""
        found: set[int] = set()
        todo = [stage]
        while todo:
            stage = todo.pop()
            if stage.index in found:
                continue
            found.add(stage.index)
            todo += self.sources(stage, word)
        return found

    def sources(self, stage: Stage, word: Callable[[str], str]) -> list[Stage]:
        """Those that must be there before this one can be made."""
        parent = self.parent(stage, word)
        names = [name for step in stage.steps for name in _origins(step)]
        others = [self.find(name, before=stage.index) for name in names]
        return [known for known in (parent, *others) if known is not None]

    def target(self, name: str = "") -> Stage:
        if not name:
            return self.stages[-1]
        found = self.find(name)
        if found is None:
            hint = did_you_mean(name, tuple(stage.name for stage in self.stages if stage.name))
            raise DockerfileError(f'target stage "{name}" could not be found{hint}')
        return found


def _origins(step: Instruction) -> list[str]:
    if isinstance(step, Copy):
        return [step.origin] if step.origin else []
    if isinstance(step, Run):
        return [name for text in step.mount_texts if (name := run_mount.origin(text))]
    return []


def _check_encoding(statement: parser.Statement) -> None:
    """What goes into the config has to be text; a heredoc of COPY may be anything."""
    bodies = [found.content for found in statement.heredocs if statement.name != "copy"]
    try:
        "".join([statement.original, *bodies]).encode()
    except UnicodeEncodeError:
        raise DockerfileError("it is not UTF-8", statement.line, statement.end) from None


def parse(text: str) -> Dockerfile:
    document = parser.parse(text)
    arguments: list[Arg] = []
    stages: list[tuple[From, list[Instruction]]] = []
    for statement in document.statements:
        _check_encoding(statement)
        instruction = instructions.parse(statement)
        if isinstance(instruction, From):
            stages.append((instruction, []))
        elif stages:
            stages[-1][1].append(instruction)
        elif isinstance(instruction, Arg):
            arguments.append(instruction)
        else:
            raise DockerfileError(
                f"{statement.keyword} before the first FROM: no build stage in current context",
                statement.line,
                statement.end,
            )
    if not stages:
        raise DockerfileError("dockerfile contains no stages to build", 1)
    return Dockerfile(
        document=document,
        arguments=tuple(arguments),
        stages=tuple(
            Stage(index=index, start=start, steps=tuple(steps))
            for index, (start, steps) in enumerate(stages)
        ),
    )
