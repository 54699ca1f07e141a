"""`sampan pull`: fetch an image from a registry."""

from __future__ import annotations

from sampan.cli import pulling
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
        option("--lazy", "bool", "Fetch eStargz layers when they are read, and the rest behind"),
        *pulling.OPTIONS,
    ),
    completes="image",
)


def run(session: Session, args: Arguments) -> None:
    reference = args.operands[0]
    name, tag = pulling.chosen(args)
    if tag == pulling.DEFAULT_TAG:
        reference = f"{name}:{tag}"
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
