"""`sampan logout`: forget the credentials for a registry."""

from __future__ import annotations

from sampan.cli import config_file
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="logout",
    summary="Log out of a registry",
    operands="[SERVER]",
    at_most=1,
)


def run(session: Session, args: Arguments) -> None:
    key = config_file.registry_key(args.operands[0] if args.operands else "")
    print(f"Removing login credentials for {key}")
    config_file.forget(session.config_dir, key)
