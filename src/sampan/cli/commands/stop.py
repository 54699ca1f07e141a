"""`sampan stop`: ask containers to end, then kill them."""

from __future__ import annotations

from sampan.cli import stopping
from sampan.cli.common_options import SIGNAL, TIMEOUT
from sampan.cli.options import Command
from sampan.cli.session import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="stop",
    aliases=("container stop",),
    summary="Stop containers",
    operands="CONTAINER [CONTAINER...]",
    at_least=1,
    options=(SIGNAL, TIMEOUT),
    completes="running",
)


def run(session: Session, args: Arguments) -> int:
    def stop(name: str) -> None:
        stopping.ask(session, f"/containers/{name}/stop", args)

    return each(args.operands, stop)
