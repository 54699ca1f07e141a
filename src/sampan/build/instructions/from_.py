"""`FROM [--platform=…] image [AS name]`: a stage begins."""

from __future__ import annotations

import re

from sampan.build.errors import DockerfileError
from sampan.build.instructions.base import Flags, Instruction, string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.parser import Statement

_FLAGS = Flags(strings=("platform",))
_STAGE = re.compile(r"[a-z][a-z0-9-_.]*\Z")


class From(Instruction):
    base: str
    stage: str = ""  # lower case
    platform: str = ""


def parse(statement: Statement) -> From:
    stage = _stage(statement.args)
    platform = string(_FLAGS.read(statement), "platform")
    return From(statement=statement, base=statement.args[0], stage=stage, platform=platform)


def _stage(args: tuple[str, ...]) -> str:
    if len(args) == 1:
        return ""
    if len(args) != 3 or args[1].lower() != "as":
        raise DockerfileError("FROM requires either one or three arguments")
    name = args[2].lower()
    if not _STAGE.match(name):
        raise DockerfileError(
            f'invalid name for build stage: "{args[2]}", '
            "name can't start with a number or contain symbols"
        )
    return name
