"""`sampan swarm|node|service|stack|secret|config`: what the engine says of swarms."""

from __future__ import annotations

from sampan.cli.options import Command
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="swarm",
    aliases=("config", "node", "secret", "service", "stack", "volume update"),
    summary="Tell whether the engine belongs to a swarm",
    description="An engine of Sampan never does, and says so as Docker does. Docker's commands for"
    " swarms are taken with any words and end with that answer and exit code 1.",
    operands="[ARG...]",
    interspersed=False,
)


def run(session: Session, args: Arguments) -> None:
    if args.operands[:1] == ["leave"]:
        session.client.call("POST", "/swarm/leave")
    if args.operands[:1] == ["inspect"]:
        print("[]", flush=True)  # what was found
    session.client.call("GET", "/swarm")  # an error in the engine's words where there is no swarm
    raise errors.Unsupported("this engine is in a swarm: manage it with docker's own program")
