"""`sampan commit`: an image from a container's changes."""

from __future__ import annotations

from sampan.cli import pulling
from sampan.cli.common_options import CHANGE
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="commit",
    aliases=("container commit",),
    summary="Make an image of a container's changes",
    operands="CONTAINER [REPOSITORY[:TAG]]",
    at_least=1,
    at_most=2,
    options=(
        option("-a --author", "string", "Author, NAME <ADDRESS>"),
        CHANGE,
        option("-m --message", "string", "What was changed"),
        option("-p --pause", "bool", "Pause the container meanwhile", default=True),
    ),
    completes="container",
)


def run(session: Session, args: Arguments) -> None:
    name, *reference = args.operands
    if reference:
        pulling.check(reference[0])
    repository, tag = pulling.split(reference[0]) if reference else ("", "")
    query = {
        "container": name,
        "repo": pulling.full_name(repository) if repository else None,
        "tag": tag or None,
        "author": args["author"] or None,
        "comment": args["message"] or None,
        "changes": args["change"],
        "pause": None if args["pause"] else "0",
    }
    print(session.client.call("POST", "/commit", query)["Id"])
