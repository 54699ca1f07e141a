"""`sampan network rm`."""

from __future__ import annotations

from sampan.cli.options import Command, option
from sampan.cli.session import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="network rm",
    aliases=("network remove",),
    summary="Remove networks",
    operands="NETWORK [NETWORK...]",
    at_least=1,
    options=(option("-f --force", "bool", "Do not mind those that are not there"),),
    completes="network",
)


def run(session: Session, args: Arguments) -> int:
    def remove(name: str) -> None:
        session.client.call("DELETE", f"/networks/{name}")

    return each(args.operands, remove) and not args["force"]
