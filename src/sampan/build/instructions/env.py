"""`ENV name=value …`: variables of what follows and of the container."""

from __future__ import annotations

from sampan.build.errors import DockerfileError
from sampan.build.instructions.base import NO_FLAGS, Instruction, at_least_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from sampan.build.instructions.base import Expander
    from sampan.build.parser import Statement


class Env(Instruction):
    pairs: tuple[tuple[str, str], ...]
    legacy: bool = False  # `name value`, without a `=`

    def expanded(self, expander: Expander) -> Self:
        # One value for the whole instruction: all are expanded before the first is set.
        return self.replace(
            pairs=tuple((expander.word(name), expander.word(value)) for name, value in self.pairs)
        )


def parse(statement: Statement) -> Env:
    NO_FLAGS.read(statement)
    at_least_one(statement)
    if not all(name for name, _, _ in statement.pairs):
        raise DockerfileError("ENV names can not be blank")
    return Env(
        statement=statement,
        pairs=tuple((name, value) for name, value, _ in statement.pairs),
        legacy=any(not equals for _, _, equals in statement.pairs),
    )
