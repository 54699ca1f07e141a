"""`sampan save`: images as a tar archive."""

from __future__ import annotations

from sampan.cli import output
from sampan.cli.common_options import ALL_PLATFORMS, PLATFORM
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
        ALL_PLATFORMS,
        PLATFORM,
    ),
    completes="image",
)


def run(session: Session, args: Arguments) -> None:
    output.check(args["output"], "save image")
    query = {
        "names": args.operands,
        "platform": output.platform(args["platform"]),
        "all-platforms": args["all-platforms"] or None,
    }
    output.save(session.client.stream("GET", "/images/get", query), args["output"])
