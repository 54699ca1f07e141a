"""`sampan volume inspect`: volumes in detail."""

from __future__ import annotations

from sampan.cli import inspecting
from sampan.cli.common_options import INSPECT_FORMAT
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="volume inspect",
    summary="Show volumes in detail",
    operands="VOLUME [VOLUME...]",
    at_least=1,
    options=(INSPECT_FORMAT,),
    completes="volume",
)


def run(session: Session, args: Arguments) -> int:
    return inspecting.show(session, args, ("volume",))
