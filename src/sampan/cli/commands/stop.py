"""`sampan stop`: ask containers to end, then kill them."""

from __future__ import annotations

from sampan.cli.common_options import SIGNAL, TIMEOUT
from sampan.cli.options import Command
from sampan.cli.session import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="stop",
    aliases=("container stop",),
    summary="Stop containers",
    operands="CONTAINER [CONTAINER...]",
    at_least=1,
    options=(SIGNAL, TIMEOUT),
    completes="running",
)


def run(session: Session, args: Arguments) -> int:
    def stop(name: str) -> None:
        session.client.call("POST", f"/containers/{name}/stop", _query(args))

    return each(args.operands, stop)


def _query(args: Arguments) -> dict[str, object]:
    return {
        "signal": args["signal"] or None,
        "t": args["timeout"] if args.given("timeout") else None,
    }
