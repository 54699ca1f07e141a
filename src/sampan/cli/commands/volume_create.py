"""`sampan volume create`."""

from __future__ import annotations

from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="volume create",
    summary="Create a volume",
    operands="[VOLUME]",
    at_most=1,
    options=(
        option("-d --driver", "string", "Volume driver", default="local"),
        option("--label", "label", "Set a label, KEY=VALUE"),
        option("--name", "string", "Name of the volume", hidden=True),
        option("-o --opt", "map", "Option of the driver, KEY=VALUE"),
    ),
)


def run(session: Session, args: Arguments) -> None:
    if args["name"] and args.operands:
        raise args.fail("conflicting options: cannot specify a volume-name through both --name "
                        "and as a positional arg", code=1)  # fmt: skip
    labels = dict(entry.partition("=")[::2] for entry in args["label"])
    body: dict[str, object] = {"Driver": args["driver"]}
    name = args.operands[0] if args.operands else args["name"]
    if name:
        body["Name"] = name
    if labels:
        body["Labels"] = labels
    if args["opt"]:
        body["DriverOpts"] = args["opt"]
    print(session.client.call("POST", "/volumes/create", None, body)["Name"])
