"""`SHELL ["executable", "argument"]`: what runs the shell forms that follow."""

from __future__ import annotations

from sampan.build.errors import DockerfileError
from sampan.build.instructions.base import NO_FLAGS, Instruction, at_least_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.parser import Statement


class Shell(Instruction):
    args: tuple[str, ...]


def parse(statement: Statement) -> Shell:
    NO_FLAGS.read(statement)
    at_least_one(statement)
    if not statement.json:
        raise DockerfileError(
            f"SHELL requires the arguments to be in JSON form: {statement.original.strip()}"
        )
    return Shell(statement=statement, args=statement.args)
