"""`COPY [--from --chown --chmod --link --parents --exclude] source … destination`."""

from __future__ import annotations

from sampan.build.instructions.base import Flags, string
from sampan.build.instructions.sources import Sources, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from sampan.build.instructions.base import Expander
    from sampan.build.parser import Statement

_FLAGS = Flags(booleans=("link", "parents"), strings=("chown", "from", "chmod"), lists=("exclude",))


class Copy(Sources):
    origin: str = ""  # --from: a stage, an image, a named context
    parents: bool = False

    def expanded(self, expander: Expander) -> Self:
        return super().expanded(expander).replace(origin=expander.word(self.origin))


def parse(statement: Statement) -> Copy:
    fields, flags = read(statement, _FLAGS)
    return Copy(**fields, origin=string(flags, "from"), parents=bool(flags.get("parents")))
