"""`sampan container inspect`: containers in detail."""

from __future__ import annotations

from sampan.cli import inspecting
from sampan.cli.common_options import INSPECT_FORMAT
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="container inspect",
    summary="Show containers in detail",
    operands="CONTAINER [CONTAINER...]",
    at_least=1,
    options=(INSPECT_FORMAT, option("-s --size", "bool", "Show how much disk they use")),
    completes="container",
)


def run(session: Session, args: Arguments) -> int:
    return inspecting.show(session, args, ("container",))
