"""`sampan image inspect`: images in detail."""

from __future__ import annotations

from sampan.cli import inspecting
from sampan.cli.common_options import INSPECT_FORMAT
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="image inspect",
    summary="Show images in detail",
    operands="IMAGE [IMAGE...]",
    at_least=1,
    options=(INSPECT_FORMAT,),
    completes="image",
)


def run(session: Session, args: Arguments) -> int:
    return inspecting.show(session, args, ("image",))
