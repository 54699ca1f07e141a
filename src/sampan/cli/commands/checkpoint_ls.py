"""`sampan checkpoint ls`: the checkpoints of a container."""

from __future__ import annotations

from sampan.cli import listing
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="checkpoint ls",
    aliases=("checkpoint list",),
    summary="List the checkpoints of a container",
    operands="CONTAINER",
    at_least=1,
    at_most=1,
    options=(
        option(
            "--checkpoint-dir", "string", "The engine's directory for it, not the container's own"
        ),
    ),
    completes="container",
)
FIELDS = {"Name": ("CHECKPOINT NAME", lambda found: found["Name"])}


def run(session: Session, args: Arguments) -> None:
    query = {"dir": args["checkpoint-dir"] or None}
    path = f"/containers/{args.operands[0]}/checkpoints"
    listing.show(session.client.call("GET", path, query) or [], FIELDS, ("Name",))
