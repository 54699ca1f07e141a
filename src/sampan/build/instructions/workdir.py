"""`WORKDIR path`: made if it is missing; relative ones start from the last."""

from __future__ import annotations

from sampan.build.instructions.base import NO_FLAGS, Instruction, exactly_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from sampan.build.instructions.base import Expander
    from sampan.build.parser import Statement


class Workdir(Instruction):
    path: str

    def expanded(self, expander: Expander) -> Self:
        return self.replace(path=expander.word(self.path))


def parse(statement: Statement) -> Workdir:
    NO_FLAGS.read(statement)
    return Workdir(statement=statement, path=exactly_one(statement))
