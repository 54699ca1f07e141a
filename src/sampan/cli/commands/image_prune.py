"""`sampan image prune`."""

from __future__ import annotations

from sampan.cli import pruning
from sampan.cli.common_options import FORCE_PRUNE, PRUNE_FILTER
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="image prune",
    summary="Remove images that have no name",
    at_most=0,
    options=(
        option("-a --all", "bool", "Remove images that have a name but no container, too"),
        PRUNE_FILTER,
        FORCE_PRUNE,
    ),
)


def run(session: Session, args: Arguments) -> int:
    if not pruning.confirmed(session, args, pruning.IMAGE.warning(args), pruning.IMAGE):
        return 0
    pruning.total(pruning.IMAGE.prune(session, args))
    return 0
