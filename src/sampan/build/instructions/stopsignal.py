"""`STOPSIGNAL signal`: a name or a number."""

from __future__ import annotations

from sampan.build.errors import DockerfileError
from sampan.build.instructions.base import NO_FLAGS, Instruction, exactly_one
from sampan.linux import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from sampan.build.instructions.base import Expander
    from sampan.build.parser import Statement


class StopSignal(Instruction):
    signal: str

    def expanded(self, expander: Expander) -> Self:
        signal = expander.word(self.signal)
        try:
            signals.parse(signal)
        except ValueError:
            raise DockerfileError(f"invalid signal: {signal}") from None
        return self.replace(signal=signal)


def parse(statement: Statement) -> StopSignal:
    NO_FLAGS.read(statement)
    return StopSignal(statement=statement, signal=exactly_one(statement))
