"""`sampan volume import`."""

from __future__ import annotations

from sampan.cli import output
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="volume import",
    summary="Fill a volume from a tar archive",
    description="The volume is made if there is none; one that is not empty is left alone."
    " The archive may be compressed; without FILE, or with -, it is read from"
    " standard input.",
    operands="VOLUME [FILE|-]",
    at_least=1,
    at_most=2,
    completes="volume",
    examples=(("sampan volume import data data.tar", "restore a volume"),),
)


def run(session: Session, args: Arguments) -> None:
    name, *file = args.operands
    path = file[0] if file and file[0] != "-" else ""
    with output.source(path) as pieces:
        response = session.client.stream("POST", f"/sampan/volumes/{name}/import", None, pieces)
        session.client.release(response)
    print(name)
