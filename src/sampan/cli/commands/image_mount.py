"""`sampan image mount`: an image's files as a directory."""

from __future__ import annotations

from sampan.cli import listing
from sampan.cli.common_options import FORMAT
from sampan.cli.options import Command
from sampan.cli.session import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="image mount",
    summary="Mount images read-only and print where; without a name, list what is mounted",
    operands="[IMAGE...]",
    options=(FORMAT,),
    completes="image",
)
FIELDS = {
    "ID": ("IMAGE ID", lambda mounted: listing.short_id(mounted["Id"])),
    "Path": ("PATH", lambda mounted: mounted["Path"]),
}


def run(session: Session, args: Arguments) -> int:
    if args.operands:
        return each(
            args.operands,
            lambda name: session.client.call("POST", f"/sampan/images/{name}/mount")["Path"],
        )
    found = session.client.call("GET", "/sampan/images/mounts") or []
    listing.show(found, FIELDS, ("ID", "Path"), args["format"])
    return 0
