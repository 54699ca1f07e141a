"""`sampan volume clone`."""

from __future__ import annotations

from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="volume clone",
    summary="Make a new volume with the files of another",
    description="Containers that write to the source are paused meanwhile. Where the file"
    " system shares data between files (XFS, Btrfs), nothing is copied.",
    operands="SOURCE TARGET",
    at_least=2,
    at_most=2,
    completes="volume",
    examples=(("sampan volume clone data data-test", "try a migration on a copy"),),
)


def run(session: Session, args: Arguments) -> None:
    source, target = args.operands
    made = session.client.call("POST", f"/sampan/volumes/{source}/clone", {"to": target})
    print(made["Name"])
