"""`sampan pause`: freeze containers."""

from __future__ import annotations

from sampan.cli.options import Command
from sampan.cli.session import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="pause",
    aliases=("container pause",),
    summary="Freeze the processes of containers",
    operands="CONTAINER [CONTAINER...]",
    at_least=1,
    completes="running",
)


def run(session: Session, args: Arguments) -> int:
    def pause(name: str) -> None:
        session.client.call("POST", f"/containers/{name}/pause")

    return each(args.operands, pause)
