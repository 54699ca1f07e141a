"""`ENTRYPOINT`: the program of the container; it takes away the base image's CMD."""

from __future__ import annotations

from sampan.build.instructions.base import NO_FLAGS, Instruction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.parser import Statement


class Entrypoint(Instruction):
    args: tuple[str, ...]
    shell: bool  # the shell form: SHELL's words come before it


def parse(statement: Statement) -> Entrypoint:
    NO_FLAGS.read(statement)
    return Entrypoint(statement=statement, args=statement.args, shell=not statement.json)
