"""`sampan image inspect`: images in detail."""

from __future__ import annotations

from sampan.cli import inspecting, output
from sampan.cli.common_options import INSPECT_FORMAT, PLATFORM
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="image inspect",
    summary="Show images in detail",
    operands="IMAGE [IMAGE...]",
    at_least=1,
    options=(
        INSPECT_FORMAT,
        option("--manifests", "bool", "Show all platforms of the image, too"),
        PLATFORM,
    ),
    completes="image",
)


def run(session: Session, args: Arguments) -> int:
    query = {
        "platform": output.platform(args["platform"]),
        "manifests": args["manifests"] or None,
    }
    return inspecting.show(session, args, ("image",), query)
