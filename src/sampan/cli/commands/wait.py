"""`sampan wait`: until containers end."""

from __future__ import annotations

from sampan.cli.options import Command
from sampan.cli.session import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="wait",
    aliases=("container wait",),
    summary="Wait until containers end, and print their exit codes",
    operands="CONTAINER [CONTAINER...]",
    at_least=1,
    completes="running",
)


def run(session: Session, args: Arguments) -> int:
    def wait(name: str) -> int:
        return int(session.client.call("POST", f"/containers/{name}/wait")["StatusCode"])

    return each(args.operands, wait)
