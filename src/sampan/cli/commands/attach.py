"""`sampan attach`: our streams on a running container's main process."""

from __future__ import annotations

from sampan.cli import attached
from sampan.cli.common_options import DETACH_KEYS
from sampan.cli.options import Command, option
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="attach",
    aliases=("container attach",),
    summary="Connect stdin, stdout and stderr to a running container",
    operands="CONTAINER",
    at_least=1,
    at_most=1,
    options=(
        DETACH_KEYS,
        option("--no-stdin", "bool", "Do not connect stdin"),
        option("--sig-proxy", "bool", "Pass signals on to the container", default=True),
    ),
    completes="running",
)


def run(session: Session, args: Arguments) -> int:
    name = args.operands[0]
    found = session.client.call("GET", f"/containers/{name}/json")
    state = found["State"]
    if not state["Running"]:
        raise errors.Conflict("You cannot attach to a stopped container, start it first")
    if state.get("Paused"):
        raise errors.Conflict("You cannot attach to a paused container, unpause it first")
    if state.get("Restarting"):
        raise errors.Conflict(
            "You cannot attach to a restarting container, wait until it is running"
        )
    return attached.follow(
        session,
        found,
        stdin=not args["no-stdin"] and found["Config"]["OpenStdin"],
        proxy=args["sig-proxy"],
        keys=args["detach-keys"],
    )
