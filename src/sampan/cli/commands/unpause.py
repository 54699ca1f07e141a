"""`sampan unpause`: thaw containers."""

from __future__ import annotations

from sampan.cli.options import Command
from sampan.cli.session import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="unpause",
    aliases=("container unpause",),
    summary="Let frozen containers go on",
    operands="CONTAINER [CONTAINER...]",
    at_least=1,
    completes="container",
)


def run(session: Session, args: Arguments) -> int:
    def unpause(name: str) -> None:
        session.client.call("POST", f"/containers/{name}/unpause")

    return each(args.operands, unpause)
