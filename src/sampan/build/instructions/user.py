"""`USER name[:group]`: who runs what follows, here and in the container."""

from __future__ import annotations

from sampan.build.instructions.base import NO_FLAGS, Instruction, exactly_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from sampan.build.instructions.base import Expander
    from sampan.build.parser import Statement


class User(Instruction):
    user: str

    def expanded(self, expander: Expander) -> Self:
        return self.replace(user=expander.word(self.user))


def parse(statement: Statement) -> User:
    NO_FLAGS.read(statement)
    return User(statement=statement, user=exactly_one(statement))
