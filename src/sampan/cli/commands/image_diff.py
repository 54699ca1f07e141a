"""`sampan image diff`: which files differ between two images."""

from __future__ import annotations

from sampan.cli import listing
from sampan.cli.commands.diff import KINDS
from sampan.cli.common_options import FORMAT, PLATFORM
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="image diff",
    summary="Show which files differ between two images",
    description="Contents, modes, owners, times and extended attributes are compared. With one"
    " image alone: what its top layer changed.",
    operands="[FROM] IMAGE",
    at_least=1,
    at_most=2,
    options=(FORMAT, PLATFORM),
    completes="image",
)
FIELDS = {
    "Type": ("TYPE", lambda change: KINDS[change["Kind"]]),
    "Path": ("PATH", lambda change: change["Path"]),
}


def run(session: Session, args: Arguments) -> None:
    *before, name = args.operands
    query = {"from": before[0] if before else None, "platform": args["platform"] or None}
    changes: list[dict[str, Any]] = session.client.call("GET", f"/sampan/images/{name}/diff", query)
    if args["format"]:
        listing.show(changes, FIELDS, ("Type", "Path"), args["format"])
        return
    for change in changes:
        print(KINDS[change["Kind"]], change["Path"])
