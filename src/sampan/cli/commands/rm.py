"""`sampan rm`: remove containers."""

from __future__ import annotations

import sys

from sampan.cli.main import describe
from sampan.cli.options import Command, option
from sampan.cli.session import each
from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="rm",
    aliases=("container rm", "container remove"),
    summary="Remove containers",
    operands="CONTAINER [CONTAINER...]",
    at_least=1,
    options=(
        option("-f --force", "bool", "Kill it first if it runs"),
        option("-l --link", "bool", "Remove the link of this name"),
        option("-v --volumes", "bool", "Remove its unnamed volumes"),
    ),
    completes="container",
)


def run(session: Session, args: Arguments) -> int:
    query = {
        "force": args["force"] or None,
        "link": args["link"] or None,
        "v": args["volumes"] or None,
    }
    failed = 0

    def remove(name: str) -> None:
        session.client.call("DELETE", f"/containers/{name.strip('/')}", query)

    def remove_if_there(name: str) -> None:
        try:
            remove(name)
        except errors.NotFound as error:
            # `rm -f` wants it gone, and gone it is; Docker says so and answers 0.
            print(describe(error), file=sys.stderr)
            raise Silent from error

    names = args.operands
    if not args["force"]:
        return each(names, remove)
    for name in names:
        try:
            failed |= each([name], remove_if_there)
        except Silent:
            continue
    return failed


class Silent(Exception):
    pass
