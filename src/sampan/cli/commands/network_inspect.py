"""`sampan network inspect`: networks in detail."""

from __future__ import annotations

from sampan.cli import inspecting
from sampan.cli.common_options import INSPECT_FORMAT
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="network inspect",
    summary="Show networks in detail",
    operands="NETWORK [NETWORK...]",
    at_least=1,
    options=(INSPECT_FORMAT, option("-v --verbose", "bool", "Show more")),
    completes="network",
)


def run(session: Session, args: Arguments) -> int:
    return inspecting.show(session, args, ("network",))
