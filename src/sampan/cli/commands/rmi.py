"""`sampan rmi`: remove images."""

from __future__ import annotations

import sys

from sampan.cli import output
from sampan.cli.main import describe
from sampan.cli.options import Command, option
from sampan.client import errors, wirejson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="rmi",
    aliases=("image rm", "image remove"),
    summary="Remove images",
    operands="IMAGE [IMAGE...]",
    at_least=1,
    options=(
        option("-f --force", "bool", "Remove it although containers use it"),
        option("--no-prune", "bool", "Keep parents that have no name"),
        option("--platform", "commas", "Remove these platforms alone, os/arch[/variant]"),
    ),
    completes="image",
)


def run(session: Session, args: Arguments) -> int:
    platforms = [wirejson.dumps(output.platform(text)) for text in args["platform"]]
    query = {
        "force": args["force"] or None,
        "noprune": args["no-prune"] or None,
        "platforms": platforms,
    }
    failed = 0
    for image in args.operands:
        try:
            removed = session.client.call("DELETE", f"/images/{image}", query) or []
        except errors.ApiError as error:
            print(describe(error), file=sys.stderr)
            failed |= not (args["force"] and isinstance(error, errors.NotFound))
            continue
        for item in removed:
            if "Deleted" in item:
                print(f"Deleted: {item['Deleted']}")
            else:
                print(f"Untagged: {item['Untagged']}")
    return int(failed)
