"""`sampan logs`: what a container has written."""

from __future__ import annotations

import time

from sampan.cli import attach, moments
from sampan.cli.options import Command, option
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="logs",
    aliases=("container logs",),
    summary="Show what a container has written",
    operands="CONTAINER",
    at_least=1,
    at_most=1,
    options=(
        option("--details", "bool", "Show the log driver's further attributes"),
        option("-f --follow", "bool", "Go on as more is written"),
        option("--since", "string", "Only what is newer than a time, or than 42m ago"),
        option("-n --tail", "string", "Only the last lines, a number or all", default="all"),
        option("-t --timestamps", "bool", "Show when each line was written"),
        option("--until", "string", "Only what is older than a time, or than 42m ago"),
    ),
    completes="container",
)


def run(session: Session, args: Arguments) -> None:
    now = time.time()
    found = session.client.call("GET", f"/containers/{args.operands[0]}/json")
    query = {
        "stdout": True,
        "stderr": True,
        "details": args["details"] or None,
        "follow": args["follow"] or None,
        "since": _moment(args, "since", now),
        "until": _moment(args, "until", now),
        "tail": args["tail"],
        "timestamps": args["timestamps"] or None,
    }
    response = session.client.stream("GET", f"/containers/{found['Id']}/logs", query)
    rest = b""
    for piece in response:
        if found["Config"]["Tty"]:
            attach.write_all(1, piece)
        else:
            rest = attach.show_frames(rest + piece)


def _moment(args: Arguments, name: str, now: float) -> str | None:
    try:
        return moments.parse(args[name], now)
    except errors.InvalidArgument as error:
        raise errors.within(f'invalid value for "{name}"', error) from error
