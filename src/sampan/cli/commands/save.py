"""`sampan save`: images as a tar archive."""

from __future__ import annotations

from sampan.cli import output
from sampan.cli.common_options import PLATFORM
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="save",
    aliases=("image save",),
    summary="Write images as a tar archive",
    operands="IMAGE [IMAGE...]",
    at_least=1,
    options=(
        option("-o --output", "string", "Write to this file", completes="file"),
        PLATFORM,
    ),
    completes="image",
)


def run(session: Session, args: Arguments) -> None:
    output.check(args["output"])
    query = {"names": args.operands, "platform": output.platform(args["platform"])}
    output.save(session.client.stream("GET", "/images/get", query), args["output"])
