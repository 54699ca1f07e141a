"""`sampan system prune`: everything that nothing uses."""

from __future__ import annotations

from sampan.cli import pruning
from sampan.cli.common_options import FORCE_PRUNE, PRUNE_FILTER
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="system prune",
    summary="Remove all that nothing uses",
    at_most=0,
    options=(
        option("-a --all", "bool", "Remove images that have a name but no container, too"),
        PRUNE_FILTER,
        FORCE_PRUNE,
        option("--volumes", "bool", "Remove unnamed volumes, too"),
    ),
)


def run(session: Session, args: Arguments) -> int:
    kinds = [pruning.CONTAINER, pruning.NETWORK]
    if args["volumes"]:
        kinds.append(pruning.VOLUME)
    kinds.append(pruning.IMAGE)
    if not args["filter"]:  # none of them says anything of a cache
        kinds.append(pruning.BUILD_CACHE)
    listed = "\n".join(f"  - {kind.described(args)}" for kind in kinds)
    if not pruning.confirmed(session, args, f"WARNING! This will remove:\n{listed}\n", *kinds):
        return 0
    pruning.total(sum(kind.prune(session, args) for kind in kinds))
    return 0
