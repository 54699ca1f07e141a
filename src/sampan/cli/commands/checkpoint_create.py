"""`sampan checkpoint create`: a running container's processes as files."""

from __future__ import annotations

from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="checkpoint create",
    summary="Save a running container's processes, to start from there later",
    description="By criu, which has to be installed. The container ends, unless --leave-running."
    " Open TCP connections and terminals of others cannot be saved; files are not part of it.",
    operands="CONTAINER CHECKPOINT",
    at_least=2,
    at_most=2,
    options=(
        option(
            "--checkpoint-dir", "string", "The engine's directory for it, not the container's own"
        ),
        option("--leave-running", "bool", "Let it go on"),
    ),
    completes="running",
    examples=(
        ("sampan checkpoint create web before", "save it, and end it"),
        ("sampan start --checkpoint before web", "and let it go on from there"),
    ),
)


def run(session: Session, args: Arguments) -> None:
    name, checkpoint = args.operands
    body = {
        "CheckpointID": checkpoint,
        "CheckpointDir": args["checkpoint-dir"],
        "Exit": not args["leave-running"],
    }
    session.client.call("POST", f"/containers/{name}/checkpoints", None, body)
    print(checkpoint)
