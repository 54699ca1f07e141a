"""A whole Dockerfile: the arguments before the first stage, then the stages."""

from __future__ import annotations

from sampan.build import instructions, parser
from sampan.build.errors import DockerfileError
from sampan.build.instructions.arg import Arg
from sampan.build.instructions.base import Instruction, did_you_mean
from sampan.build.instructions.from_ import From
from sampan.kit.record import Record


class Stage(Record):
    index: int
    start: From
    steps: tuple[Instruction, ...]

    @property
    def name(self) -> str:
        return self.start.stage

    @property
    def title(self) -> str:
        return self.name or str(self.index)


class Dockerfile(Record):
    document: parser.Document
    arguments: tuple[Arg, ...]  # before the first FROM
    stages: tuple[Stage, ...]

    def find(self, name: str, before: int | None = None) -> Stage | None:
        """The stage of that name or number; of several with one name the last."""
        known = self.stages[:before]
        for stage in reversed(known):
            if stage.name and stage.name == name.lower():
                return stage
        return known[int(name)] if name.isdecimal() and int(name) < len(known) else None

    def target(self, name: str = "") -> Stage:
        if not name:
            return self.stages[-1]
        found = self.find(name)
        if found is None:
            hint = did_you_mean(name, tuple(stage.name for stage in self.stages if stage.name))
            raise DockerfileError(f'target stage "{name}" could not be found{hint}')
        return found


def parse(text: str) -> Dockerfile:
    document = parser.parse(text)
    arguments: list[Arg] = []
    stages: list[tuple[From, list[Instruction]]] = []
    for statement in document.statements:
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
