"""`ARG name[=default] …`: what `--build-arg` may set, from here to the end of the stage."""

from __future__ import annotations

from sampan.build.errors import DockerfileError
from sampan.build.instructions.base import Instruction, at_least_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.parser import Statement


class Arg(Instruction):
    pairs: tuple[tuple[str, str | None], ...]  # None: no default


def parse(statement: Statement) -> Arg:
    at_least_one(statement)
    pairs: list[tuple[str, str | None]] = []
    for argument in statement.args:
        name, equals, default = argument.partition("=")
        if not name:
            raise DockerfileError("ARG names can not be blank")
        pairs.append((name, default if equals else None))
    return Arg(statement=statement, pairs=tuple(pairs))
