"""`sampan create`: a container that `start` can start."""

from __future__ import annotations

from sampan.cli import creating
from sampan.cli.container_options import CONTAINER_OPTIONS
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="create",
    aliases=("container create",),
    summary="Create a container without starting it",
    operands="IMAGE [COMMAND] [ARG...]",
    at_least=1,
    options=CONTAINER_OPTIONS,
    interspersed=False,
    completes="image",
)


def run(session: Session, args: Arguments) -> None:
    print(creating.create(session, args))
