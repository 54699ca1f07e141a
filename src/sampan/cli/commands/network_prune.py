"""`sampan network prune`."""

from __future__ import annotations

from sampan.cli import pruning
from sampan.cli.common_options import FORCE_PRUNE, PRUNE_FILTER
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="network prune",
    summary="Remove networks that no container uses",
    at_most=0,
    options=(PRUNE_FILTER, FORCE_PRUNE),
)


def run(session: Session, args: Arguments) -> int:
    if pruning.confirmed(session, args, pruning.NETWORK.warning(args)):
        pruning.NETWORK.prune(session, args)
    return 0
