"""`sampan manifest push`: send a list to its registry."""

from __future__ import annotations

from sampan.cli import manifest_lists
from sampan.cli.options import Command, option
from sampan.spec import reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="manifest push",
    summary="Send a manifest list to its registry",
    description="The images are there already; those of another repository of the registry are"
    " made known in the list's.",
    operands="MANIFEST_LIST",
    at_least=1,
    at_most=1,
    options=(
        option("--insecure", "bool", "Ask the registry by http, or whatever its certificate"),
        option("-p --purge", "bool", "Remove the list here when it is there"),
    ),
)


def run(session: Session, args: Arguments) -> None:
    from sampan.cli import manifest_registry

    target = reference.parse(args.operands[0])
    store = manifest_lists.Store(session.config_dir)
    found = store.list(target)
    print(manifest_registry.push(session, target, found, insecure=args["insecure"]))
    if args["purge"]:
        store.remove(target)
