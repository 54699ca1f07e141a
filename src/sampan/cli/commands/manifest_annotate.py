"""`sampan manifest annotate`: say which platform an image of a list is for."""

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
    name="manifest annotate",
    summary="Say which platform an image of a manifest list is for",
    operands="MANIFEST_LIST MANIFEST",
    at_least=2,
    at_most=2,
    options=(
        option("--arch", "string", "Architecture, such as arm64"),
        option("--os", "string", "Operating system"),
        option("--os-features", "commas", "Features of the system that it needs"),
        option("--os-version", "string", "Version of the system"),
        option("--variant", "string", "Variant of the architecture, such as v8"),
    ),
)
_WORDS = {"arch": "architecture", "os": "os", "os-version": "os.version", "variant": "variant"}


def run(session: Session, args: Arguments) -> None:
    target, image = (reference.parse(name) for name in args.operands)
    store = manifest_lists.Store(session.config_dir)
    try:
        found = store.get(target, image)
    except manifest_lists.NoSuchManifest:
        name, of = args.operands[1], args.operands[0]
        raise errors.NotFound(f"manifest for image {name} does not exist in {of}") from None
    given = {word: args[name] for name, word in _WORDS.items() if args[name]}
    manifest_lists.annotate(found, {**given, "os.features": args["os-features"]})
    store.save(target, image, found)
