"""`sampan context show`: the name of the one in use."""

from __future__ import annotations

from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(name="context show", summary="Show the name of the context in use", at_most=0)


def run(session: Session, args: Arguments) -> None:
    print(session.context)
