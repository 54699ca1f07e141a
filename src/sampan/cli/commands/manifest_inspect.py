"""`sampan manifest inspect`: a manifest or a list, of a registry or in the making."""

from __future__ import annotations

from sampan.cli import manifest_lists
from sampan.cli.options import Command, option
from sampan.spec import reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="manifest inspect",
    summary="Show a manifest, or a manifest list",
    operands="[MANIFEST_LIST] MANIFEST",
    at_least=1,
    at_most=2,
    options=(
        option("--insecure", "bool", "Ask the registry by http, or whatever its certificate"),
        option("-v --verbose", "bool", "Show descriptors, platforms and layers, too"),
    ),
)


def run(session: Session, args: Arguments) -> None:
    import json

    name = reference.parse(args.operands[-1])
    found = _find(session, args, name)
    if args["verbose"]:
        print(json.dumps(found, indent="\t"))
    elif isinstance(found, list):
        print(manifest_lists.document(name, found)[1].decode())
    else:
        print(json.dumps(json.loads(manifest_lists.raw(found)), indent="\t"))


def _find(
    session: Session, args: Arguments, name: reference.Reference
) -> manifest_lists.Entry | list[manifest_lists.Entry]:
    store = manifest_lists.Store(session.config_dir)
    if len(args.operands) > 1:
        return store.get(reference.parse(args.operands[0]), name)
    try:
        return store.list(name)
    except manifest_lists.NoSuchManifest:
        from sampan.cli import manifest_registry

        return manifest_registry.inspect(session, name, insecure=args["insecure"])
