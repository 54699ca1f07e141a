"""`image bootstrap`: build the image here, then hand its archive to the engine."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session


def run(session: Session, args: Arguments) -> None:
    raise NotImplementedError
