"""`sampan inspect`: any object in detail."""

from __future__ import annotations

from sampan.cli import inspecting
from sampan.cli.common_options import INSPECT_FORMAT
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="inspect",
    summary="Show containers, images, volumes or networks in detail",
    operands="NAME|ID [NAME|ID...]",
    at_least=1,
    options=(
        INSPECT_FORMAT,
        option("-s --size", "bool", "Show how much disk a container uses"),
        option("--type", "string", "Only objects of this type",
               completes="container|image|network|volume"),
    ),
    completes="object",
)  # fmt: skip


def run(session: Session, args: Arguments) -> int:
    kinds = tuple(inspecting.PATHS)
    if args["type"]:
        if args["type"] not in kinds:
            known = ", ".join(f'"{kind}"' for kind in sorted(kinds))
            raise args.fail(f'unknown type: "{args["type"]}": must be one of {known}', code=1)
        kinds = (args["type"],)
    return inspecting.show(session, args, kinds)
