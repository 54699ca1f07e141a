"""`MAINTAINER name`: the author, deprecated in favour of a label."""

from __future__ import annotations

from sampan.build.instructions.base import NO_FLAGS, Instruction, exactly_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.parser import Statement


class Maintainer(Instruction):
    author: str


def parse(statement: Statement) -> Maintainer:
    NO_FLAGS.read(statement)
    return Maintainer(statement=statement, author=exactly_one(statement))
