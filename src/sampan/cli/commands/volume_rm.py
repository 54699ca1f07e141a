"""`sampan volume rm`."""

from __future__ import annotations

from sampan.cli.options import Command, option
from sampan.cli.session import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="volume rm",
    aliases=("volume remove",),
    summary="Remove volumes",
    operands="VOLUME [VOLUME...]",
    at_least=1,
    options=(option("-f --force", "bool", "Do not mind those that are not there"),),
    completes="volume",
)


def run(session: Session, args: Arguments) -> int:
    query = {"force": args["force"] or None}

    def remove(name: str) -> None:
        session.client.call("DELETE", f"/volumes/{name}", query)

    return each(args.operands, remove)
