"""`ADD`: COPY that also unpacks local archives and fetches URLs and git repositories."""

from __future__ import annotations

from sampan.build.instructions.base import Flags, optional, string
from sampan.build.instructions.sources import Sources, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from sampan.build.instructions.base import Expander
    from sampan.build.parser import Statement

_FLAGS = Flags(
    booleans=("link", "keep-git-dir", "unpack"),
    strings=("chown", "chmod", "checksum"),
    lists=("exclude",),
)


class Add(Sources):
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None  # None: local archives are, remote ones are not

    def expanded(self, expander: Expander) -> Self:
        return super().expanded(expander).replace(checksum=expander.word(self.checksum))


def parse(statement: Statement) -> Add:
    fields, flags = read(statement, _FLAGS)
    return Add(
        **fields,
        checksum=string(flags, "checksum"),
        keep_git_dir=optional(flags, "keep-git-dir"),
        unpack=optional(flags, "unpack"),
    )
