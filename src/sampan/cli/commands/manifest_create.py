"""`sampan manifest create`: begin a list, or add images to it."""

from __future__ import annotations

from sampan.cli import manifest_lists
from sampan.cli.options import Command, option
from sampan.kit import errors
from sampan.spec import reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="manifest create",
    summary="Begin a manifest list of images that a registry has, or add to it",
    description="The list is kept in the user's directory of config.json, as docker keeps it, until"
    " it is pushed.",
    operands="MANIFEST_LIST MANIFEST [MANIFEST...]",
    at_least=2,
    options=(
        option("-a --amend", "bool", "Add to a list that is there"),
        option("--insecure", "bool", "Ask the registry by http, or whatever its certificate"),
    ),
    examples=(
        (
            "sampan manifest create r.example/app:1 r.example/app:1-amd64 r.example/app:1-arm64",
            "one name for two platforms",
        ),
    ),
)


def run(session: Session, args: Arguments) -> None:
    from sampan.cli import manifest_registry

    store = manifest_lists.Store(session.config_dir)
    target, *images = (reference.parse(name) for name in args.operands)
    if store.has(target) and not args["amend"]:
        raise errors.Conflict("refusing to amend an existing manifest list with no --amend flag")
    for image in images:
        try:
            found = store.get(target, image)
        except manifest_lists.NoSuchManifest:
            found = manifest_registry.image(session, image, insecure=args["insecure"])
        store.save(target, image, found)
    print(f"Created manifest list {target}")
