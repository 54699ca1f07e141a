"""`sampan system shutdown`: end the engine and all that it runs."""

from __future__ import annotations

import os

from sampan.cli.options import Command
from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="system shutdown",
    summary="Stop all containers and the engine; images, volumes and containers stay on disk",
    at_most=0,
)


def run(session: Session, args: Arguments) -> None:
    client = session.new_client()
    try:
        client.open()
    except errors.Unreachable:
        if session.host:
            raise
        return  # no engine, nothing to end
    engine = _pidfd(session)
    client.call("POST", "/sampan/shutdown")
    if engine >= 0:
        import select

        select.select([engine], [], [], 20)
        os.close(engine)


def _pidfd(session: Session) -> int:
    """The engine's process, where it is one on this host that we may watch; else -1."""
    try:
        with open(f"{session.paths.run}/sampand.pid") as file:
            return os.pidfd_open(int(file.read()))
    except (OSError, ValueError):
        return -1
