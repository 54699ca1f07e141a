"""`sampan checkpoint rm`: remove a checkpoint."""

from __future__ import annotations

from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="checkpoint rm",
    aliases=("checkpoint remove",),
    summary="Remove a checkpoint of a container",
    operands="CONTAINER CHECKPOINT",
    at_least=2,
    at_most=2,
    options=(
        option(
            "--checkpoint-dir", "string", "The engine's directory for it, not the container's own"
        ),
    ),
    completes="container",
)


def run(session: Session, args: Arguments) -> None:
    name, checkpoint = args.operands
    query = {"dir": args["checkpoint-dir"] or None}
    session.client.call("DELETE", f"/containers/{name}/checkpoints/{checkpoint}", query)
