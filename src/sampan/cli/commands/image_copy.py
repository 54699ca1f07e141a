"""`sampan image copy`: from any place to any other."""

from __future__ import annotations

from sampan.cli import image_places
from sampan.cli.common_options import PLATFORM
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="image copy",
    summary="Copy an image between registries, archives, directories and this engine",
    description="A place is NAME or store:NAME (this engine), docker://NAME (a registry),"
    " oci:DIR[:NAME] (an OCI layout in a directory), oci-archive:FILE[:NAME] or"
    " docker-archive:FILE[:NAME]. All platforms are copied, and digests stay what they are, unless"
    " --platform picks one. FILE may be - for standard input or output.",
    operands="SOURCE TARGET",
    at_least=2,
    at_most=2,
    options=(
        PLATFORM,
        option("-q --quiet", "bool", "Show no progress"),
    ),
    completes="image",
    examples=(
        ("sampan image copy docker://debian:12 docker://mirror.example/debian:12",
         "from one registry to another"),
        ("sampan image copy web:1 oci:/srv/web", "from this engine to a directory"),
    ),
)  # fmt: skip


def run(session: Session, args: Arguments) -> None:
    source, target = (image_places.parse(text) for text in args.operands)
    image_places.copy(session, source, target, args["platform"], quiet=args["quiet"])
