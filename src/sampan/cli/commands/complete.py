"""`sampan __complete WORD...`: what could stand in place of the last word, one a line."""

from __future__ import annotations

from sampan.cli import completing
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="__complete",
    summary="Print completions of the last word",
    operands="[WORD...]",
    verbatim=True,
    hidden=True,
)


def run(session: Session, args: Arguments) -> None:
    for candidate in completing.complete(args.operands, session):
        print(candidate)
