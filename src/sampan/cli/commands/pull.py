"""`sampan pull`: fetch an image from a registry."""

from __future__ import annotations

import sys

from sampan.cli import pulling
from sampan.cli.common_options import ALL_PLATFORMS, PLATFORM
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="pull",
    aliases=("image pull",),
    summary="Fetch an image from a registry",
    operands="NAME[:TAG|@DIGEST]",
    at_least=1,
    at_most=1,
    options=(
        option("-a --all-tags", "bool", "Fetch every tag of the repository"),
        option("--disable-content-trust", "bool", "Accepted, without effect", default=True,
               hidden=True),
        ALL_PLATFORMS,
        option("--lazy", "bool", "Fetch eStargz layers when they are read, and the rest behind"),
        PLATFORM,
        option("-q --quiet", "bool", "Show no progress"),
    ),
    completes="image",
)  # fmt: skip


def run(session: Session, args: Arguments) -> None:
    reference = args.operands[0]
    name, tag = pulling.split(reference)
    if args["all-tags"] and tag:
        raise args.fail("tag can't be used with --all-tags/-a", code=1)
    if not tag and not args["all-tags"]:
        reference = f"{name}:latest"
        if not args["quiet"]:
            print("Using default tag: latest")
            sys.stdout.flush()
    pulling.pull(
        session,
        reference,
        platform=args["platform"],
        quiet=args["quiet"],
        every_tag=args["all-tags"],
        every_platform=args["all-platforms"],
        lazily=args["lazy"],
    )
    print(pulling.full_name(reference))
