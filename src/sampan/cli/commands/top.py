"""`sampan top`: a container's processes."""

from __future__ import annotations

import sys

from sampan.cli import listing
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="top",
    aliases=("container top",),
    summary="Show the processes of a container",
    operands="CONTAINER [ps OPTIONS]",
    at_least=1,
    interspersed=False,
    completes="running",
)


def run(session: Session, args: Arguments) -> None:
    name, *ps_options = args.operands
    query = {"ps_args": " ".join(ps_options) or None}
    found = session.client.call("GET", f"/containers/{name}/top", query)
    rows = [found["Titles"], *(found["Processes"] or [])]
    sys.stdout.write(listing.table(rows, min_width=20))
