"""`sampan image umount`: undo image mount."""

from __future__ import annotations

from sampan.cli.options import Command
from sampan.cli.session import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="image umount",
    aliases=("image unmount",),
    summary="Unmount images",
    operands="IMAGE [IMAGE...]",
    at_least=1,
    completes="image",
)


def run(session: Session, args: Arguments) -> int:
    def umount(name: str) -> None:
        session.client.call("POST", f"/sampan/images/{name}/umount")

    return each(args.operands, umount)
