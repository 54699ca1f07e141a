"""`VOLUME path …`: a volume of its own lies there in each container."""

from __future__ import annotations

from sampan.build.errors import DockerfileError
from sampan.build.instructions.base import NO_FLAGS, Instruction, at_least_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from sampan.build.instructions.base import Expander
    from sampan.build.parser import Statement


class Volume(Instruction):
    paths: tuple[str, ...]

    def expanded(self, expander: Expander) -> Self:
        if self.statement.json:
            return self.replace(paths=tuple(expander.word(path) for path in self.paths))
        return self.replace(paths=tuple(w for path in self.paths for w in expander.words(path)))


def parse(statement: Statement) -> Volume:
    at_least_one(statement)
    NO_FLAGS.read(statement)
    paths = tuple(path.strip() for path in statement.args)
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return Volume(statement=statement, paths=paths)
