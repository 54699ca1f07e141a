"""`sampan builder prune`: forget what builds keep for later."""

from __future__ import annotations

from sampan.cli import listing, pruning
from sampan.cli.common_options import FORCE_PRUNE
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="builder prune",
    summary="Forget what the build cache holds",
    description="Layers that an image has, too, stay known unless --all is given.",
    at_most=0,
    options=(
        option("-a --all", "bool", "Forget what images have, too"),
        option("--filter", "filter", "Forget only what fits: until=24h, id=BEGINNING"),
        FORCE_PRUNE,
        option("--keep-storage --reserved-space", "bytes", "Let so much stay, the latest used"),
        option("--max-used-space", "bytes", "Let no more than this stay"),
        option("--min-free-space", "bytes", "Make this much free on the disk"),
    ),
)


def run(session: Session, args: Arguments) -> int:
    what = "all build cache" if args["all"] else "all build cache that no image has"
    if not pruning.confirmed(session, args, f"WARNING! This will remove {what}.\n"):
        return 0
    query = {
        "all": args["all"] or None,
        "filters": listing.filters(dict(args["filter"])),
        "reserved-space": args["keep-storage"] or None,
        "keep-storage": args["keep-storage"] or None,  # the word of older engines
        "max-used-space": args["max-used-space"] or None,
        "min-free-space": args["min-free-space"] or None,
    }
    answer = session.client.call("POST", "/build/prune", query)
    for ident in answer["CachesDeleted"] or ():
        print(ident)
    pruning.total(int(answer["SpaceReclaimed"]))
    return 0
