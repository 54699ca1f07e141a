"""`sampan push`: send an image to its registry."""

from __future__ import annotations

from sampan.cli import config_file, output, progress, pulling
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="push",
    aliases=("image push",),
    summary="Send an image to its registry",
    operands="NAME[:TAG]",
    at_least=1,
    at_most=1,
    options=(
        option("-a --all-tags", "bool", "Send every tag of the repository"),
        *pulling.OPTIONS,
    ),
    completes="image",
)


def run(session: Session, args: Arguments) -> None:
    name, tag = pulling.chosen(args)
    query = {
        "tag": tag or None,
        "platform": output.platform(args["platform"]),
        "all-platforms": args["all-platforms"] or None,
    }
    headers = config_file.registry_auth(session.config, args.operands[0])
    response = session.client.stream("POST", f"/images/{name}/push", query, None, headers)
    messages = session.client.messages(response)
    if args["quiet"]:
        progress.drain(messages)
        print(f"{name}:{tag}" if tag else name)
    else:
        progress.show(messages)
