"""`EXPOSE port[-port][/protocol] …`: documentation, and what `run -P` publishes."""

from __future__ import annotations

from sampan.build.instructions.base import NO_FLAGS, Instruction, at_least_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from sampan.build.instructions.base import Expander
    from sampan.build.parser import Statement


class Expose(Instruction):
    ports: tuple[str, ...]

    def expanded(self, expander: Expander) -> Self:
        return self.replace(ports=tuple(w for port in self.ports for w in expander.words(port)))


def parse(statement: Statement) -> Expose:
    at_least_one(statement)
    NO_FLAGS.read(statement)
    return Expose(statement=statement, ports=tuple(sorted(statement.args)))
