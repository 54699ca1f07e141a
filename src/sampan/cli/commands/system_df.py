"""`sampan system df`: what takes how much room."""

from __future__ import annotations

import sys

from sampan.cli import disk_usage, listing
from sampan.cli.common_options import FORMAT
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="system df",
    summary="Show how much disk is used",
    at_most=0,
    options=(FORMAT, option("-v --verbose", "bool", "Show each image, container and volume")),
)


def run(session: Session, args: Arguments) -> None:
    found = session.client.call("GET", "/system/df")
    if not args["verbose"]:
        rows = disk_usage.summary(found)
        listing.show(rows, disk_usage.FIELDS, disk_usage.DEFAULT, args["format"])
        return
    if args["format"]:
        print(listing.render(args["format"], found))
        return
    sys.stdout.write(disk_usage.verbose(found))
