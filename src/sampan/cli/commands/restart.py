"""`sampan restart`: stop containers and start them again."""

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
    name="restart",
    aliases=("container restart",),
    summary="Restart containers",
    operands="CONTAINER [CONTAINER...]",
    at_least=1,
    options=(SIGNAL, TIMEOUT),
    completes="container",
)


def run(session: Session, args: Arguments) -> int:
    def restart(name: str) -> None:
        stopping.ask(session, f"/containers/{name}/restart", args)

    return each(args.operands, restart)
