"""`sampan network disconnect`."""

from __future__ import annotations

from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="network disconnect",
    summary="Disconnect a container from a network",
    operands="NETWORK CONTAINER",
    at_least=2,
    at_most=2,
    options=(option("-f --force", "bool", "Do it even if the container does not answer"),),
    completes="network",
)


def run(session: Session, args: Arguments) -> None:
    network, container = args.operands
    body = {"Container": container, "Force": args["force"]}
    session.client.call("POST", f"/networks/{network}/disconnect", None, body)
