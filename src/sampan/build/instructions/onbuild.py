"""`ONBUILD instruction`: a trigger that runs in the builds that start from this image."""

from __future__ import annotations

import re

from sampan.build.errors import DockerfileError
from sampan.build.instructions.base import NO_FLAGS, Instruction

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.parser import Statement

_KEYWORD = re.compile(r"\s*ONBUILD\s*", re.IGNORECASE)


class Onbuild(Instruction):
    expression: str  # as it stands in the image's config


def parse(statement: Statement) -> Onbuild:
    if statement.trigger is None:
        raise DockerfileError("ONBUILD requires at least one argument")
    NO_FLAGS.read(statement)
    trigger = statement.trigger.keyword.upper()
    if trigger == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{trigger} isn't allowed as an ONBUILD trigger")
    parts = [_KEYWORD.sub("", statement.original, count=1)]
    parts += [f"\n{found.content}{found.name}" for found in statement.heredocs]
    return Onbuild(statement=statement, expression="".join(parts))
