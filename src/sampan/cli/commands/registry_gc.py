"""`registry gc`: remove what no manifest needs, while the registry goes on serving."""

from __future__ import annotations

from sampan.cli import units
from sampan.cli.options import Arguments, Command, option
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.session import Session

COMMAND = Command(
    name="registry gc",
    summary="Remove what no manifest of a registry needs",
    at_most=0,
    options=(
        option("--root", "string", "Directory of blobs and index (registry below the engine's)",
               completes="dir"),
        option("--grace", "duration", "Spare what was pushed or asked for since",
               default=3600 * 10**9, shown_default="1h"),
        option("-q --quiet", "bool", "Do not list the blobs"),
    ),
)  # fmt: skip


def run(session: Session, args: Arguments) -> int:
    import os

    from sampan.registry.server.index import Index
    from sampan.registry.server.storage import FileStorage

    root = args["root"] or f"{session.paths.root}/registry"
    if not os.path.exists(f"{root}/index.db"):
        raise errors.NotFound(f"there is no registry at {root}")
    index = Index(f"{root}/index.db")
    try:
        removed, freed = index.collect(
            FileStorage(root),
            grace=args["grace"] / 1e9,
            say=(lambda _: None) if args["quiet"] else print,
        )
    finally:
        index.close()
    print(f"{removed} blobs removed, {units.size(freed)} freed")
    return 0
