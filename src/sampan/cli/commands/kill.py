"""`sampan kill`: send a signal to containers."""

from __future__ import annotations

from sampan.cli.common_options import SIGNAL
from sampan.cli.options import Command
from sampan.cli.session import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="kill",
    aliases=("container kill",),
    summary="Send a signal to containers, SIGKILL by default",
    operands="CONTAINER [CONTAINER...]",
    at_least=1,
    options=(SIGNAL,),
    completes="running",
)


def run(session: Session, args: Arguments) -> int:
    query = {"signal": args["signal"] or None}

    def kill(name: str) -> None:
        session.client.call("POST", f"/containers/{name}/kill", query)

    return each(args.operands, kill)
