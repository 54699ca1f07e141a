"""`sampan volume export`."""

from __future__ import annotations

from sampan.cli import output
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="volume export",
    summary="Write the files of a volume as a tar archive",
    description="Containers that write to the volume are paused meanwhile. The archive"
    " keeps owners, modes, extended attributes and links.",
    operands="VOLUME",
    at_least=1,
    at_most=1,
    options=(option("-o --output", "string", "Write to this file", completes="file"),),
    completes="volume",
    examples=(("sampan volume export -o data.tar data", "back a volume up"),),
)


def run(session: Session, args: Arguments) -> None:
    output.check(args["output"], "export volume")
    response = session.client.stream("GET", f"/sampan/volumes/{args.operands[0]}/export")
    output.save(response, args["output"])
