"""The eighteen instructions, one file each: a statement in, an immutable record out.

`parse(statement)` refuses what can never work, with the statement's lines. Variables stay as
they are written: `Instruction.expanded` replaces them where their values are known.
"""

from __future__ import annotations

from sampan.build.errors import DockerfileError
from sampan.build.instructions import (
    add,
    arg,
    cmd,
    copy,
    entrypoint,
    env,
    expose,
    from_,
    healthcheck,
    label,
    maintainer,
    onbuild,
    run,
    shell,
    stopsignal,
    user,
    volume,
    workdir,
)
from sampan.build.instructions.base import Instruction, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.build.parser import Statement

_TABLE: dict[str, Callable[[Statement], Instruction]] = {
    "ADD": add.parse,
    "ARG": arg.parse,
    "CMD": cmd.parse,
    "COPY": copy.parse,
    "ENTRYPOINT": entrypoint.parse,
    "ENV": env.parse,
    "EXPOSE": expose.parse,
    "FROM": from_.parse,
    "HEALTHCHECK": healthcheck.parse,
    "LABEL": label.parse,
    "MAINTAINER": maintainer.parse,
    "ONBUILD": onbuild.parse,
    "RUN": run.parse,
    "SHELL": shell.parse,
    "STOPSIGNAL": stopsignal.parse,
    "USER": user.parse,
    "VOLUME": volume.parse,
    "WORKDIR": workdir.parse,
}


def parse(statement: Statement) -> Instruction:
    try:
        reader = _TABLE.get(statement.keyword.upper())
        if not reader:
            hint = did_you_mean(statement.keyword.upper(), tuple(_TABLE))
            raise DockerfileError(f"unknown instruction: {statement.keyword}{hint}")
        return reader(statement)
    except DockerfileError as error:
        raise error.at(statement.line, statement.end) from None
