"""`CMD`: what the container runs, or the arguments of its entry point."""

from __future__ import annotations

from sampan.build.instructions.base import NO_FLAGS, Instruction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.parser import Statement


class Cmd(Instruction):
    args: tuple[str, ...]
    shell: bool  # the shell form: SHELL's words come before it


def parse(statement: Statement) -> Cmd:
    NO_FLAGS.read(statement)
    return Cmd(statement=statement, args=statement.args, shell=not statement.json)
