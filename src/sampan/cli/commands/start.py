"""`sampan start`: start containers that do not run."""

from __future__ import annotations

import sys

from sampan.cli import attached
from sampan.cli.common_options import DETACH_KEYS
from sampan.cli.options import Command, option
from sampan.cli.session import each
from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="start",
    aliases=("container start",),
    summary="Start containers that do not run",
    operands="CONTAINER [CONTAINER...]",
    at_least=1,
    options=(
        option("-a --attach", "bool", "Connect stdout and stderr, and pass signals on"),
        option("--checkpoint", "string", "Go on from this checkpoint"),
        option("--checkpoint-dir", "string", "The engine's directory that holds it"),
        DETACH_KEYS,
        option("-i --interactive", "bool", "Connect stdin"),
    ),
    completes="stopped",
)


def run(session: Session, args: Arguments) -> int:
    if args["checkpoint"] and len(args.operands) > 1:
        raise args.fail("you cannot restore multiple containers at once", code=1)
    if args["attach"] or args["interactive"]:
        if len(args.operands) > 1:
            raise args.fail("you cannot start and attach multiple containers at once", code=1)
        return _attached(session, args)

    failed = []

    def start(name: str) -> None:
        try:
            session.client.call("POST", f"/containers/{name}/start", _query(args))
        except errors.ApiError:
            failed.append(name)
            raise

    code = each(args.operands, start)
    if failed:
        print(f"Error: failed to start containers: {', '.join(failed)}", file=sys.stderr)
    return code


def _query(args: Arguments) -> dict[str, str | None]:
    return {
        "checkpoint": args["checkpoint"] or None,
        "checkpoint-dir": args["checkpoint-dir"] or None,
    }


def _attached(session: Session, args: Arguments) -> int:
    found = session.client.call("GET", f"/containers/{args.operands[0]}/json")
    return attached.follow(
        session,
        found,
        stdin=args["interactive"] and found["Config"]["OpenStdin"],
        proxy=True,
        keys=args["detach-keys"],
        start=_query(args),
    )
