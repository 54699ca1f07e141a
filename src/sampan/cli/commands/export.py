"""`sampan export`: a container's file system as a tar archive."""

from __future__ import annotations

from sampan.cli import output
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="export",
    aliases=("container export",),
    summary="Write a container's file system as a tar archive",
    operands="CONTAINER",
    at_least=1,
    at_most=1,
    options=(option("-o --output", "string", "Write to this file", completes="file"),),
    completes="container",
)


def run(session: Session, args: Arguments) -> None:
    output.check(args["output"], "export container")
    response = session.client.stream("GET", f"/containers/{args.operands[0]}/export")
    output.save(response, args["output"])
