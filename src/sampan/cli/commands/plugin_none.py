"""`sampan plugin create|install|…`: what is not there, and what is instead."""

from __future__ import annotations

from sampan.cli.options import Command
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

_VERBS = ("create", "disable", "enable", "inspect", "push", "remove", "rm", "set", "upgrade")
COMMAND = Command(
    name="plugin install",
    aliases=tuple(f"plugin {verb}" for verb in _VERBS),
    summary="Tell that an engine of Sampan has no plugins",
    description="Volumes, networks and logs have drivers of their own; `sampan info` lists them."
    " Docker's commands for plugins are taken with any words and end with that answer and exit"
    " code 1.",
    operands="[ARG...]",
    verbatim=True,
)


def run(session: Session, args: Arguments) -> None:
    raise errors.Unsupported(
        "an engine of Sampan has no plugins; `sampan info` lists the drivers that it has"
    )
