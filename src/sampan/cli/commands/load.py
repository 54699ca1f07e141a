"""`sampan load`: images from a tar archive."""

from __future__ import annotations

import sys

from sampan.cli import output, progress
from sampan.cli.common_options import PLATFORM
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="load",
    aliases=("image load",),
    summary="Read images from a tar archive",
    at_most=0,
    options=(
        option("-i --input", "string", "Read this file, not stdin", completes="file"),
        PLATFORM,
        option("-q --quiet", "bool", "Show no progress"),
    ),
)


def run(session: Session, args: Arguments) -> None:
    if not args["input"] and sys.stdin.isatty():
        raise args.fail("requested load from stdin, but stdin is empty", code=1)
    quiet = args["quiet"] or not sys.stdout.isatty()
    query = {"quiet": quiet or None, "platform": output.platform(args["platform"])}
    with output.source(args["input"]) as pieces:
        response = session.client.stream("POST", "/images/load", query, pieces)
        if response.headers.get("content-type", "").startswith("application/json"):
            progress.show(session.client.messages(response))
        else:
            sys.stdout.write(response.read().decode("utf-8", "replace"))
