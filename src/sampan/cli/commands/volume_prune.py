"""`sampan volume prune`."""

from __future__ import annotations

from sampan.cli import pruning
from sampan.cli.common_options import FORCE_PRUNE, PRUNE_FILTER
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="volume prune",
    summary="Remove volumes that no container uses",
    at_most=0,
    options=(
        option("-a --all", "bool", "Remove volumes that have a name, too"),
        PRUNE_FILTER,
        FORCE_PRUNE,
    ),
)


def run(session: Session, args: Arguments) -> int:
    if not pruning.confirmed(session, args, pruning.VOLUME.warning(args), pruning.VOLUME):
        return 0
    pruning.total(pruning.VOLUME.prune(session, args))
    return 0
