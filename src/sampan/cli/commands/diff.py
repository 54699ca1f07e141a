"""`sampan diff`: what a container changed in its file system."""

from __future__ import annotations

from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="diff",
    aliases=("container diff",),
    summary="Show which files a container has changed",
    operands="CONTAINER",
    at_least=1,
    at_most=1,
    completes="container",
)
KINDS = ("C", "A", "D")  # the API's 0, 1, 2: changed, added, deleted


def run(session: Session, args: Arguments) -> None:
    changes = session.client.call("GET", f"/containers/{args.operands[0]}/changes") or []
    for change in changes:
        print(KINDS[change["Kind"]], change["Path"])
