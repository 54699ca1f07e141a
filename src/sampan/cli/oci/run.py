"""`run`: create and start a container, and see it to its end."""

from __future__ import annotations

from sampan.cli.oci import launching
from sampan.cli.oci.table import Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(
    name="run",
    summary="create and run a container",
    description="Exits with the process's status, 128 and the signal's number if one killed it.",
    flags=(
        *launching.CREATE,
        flag("--detach -d", "", "return once the process runs"),
        flag("--keep", "", "do not delete the container at its end"),
        flag("--no-subreaper", "", "do not adopt the processes that the container leaves"),
    ),
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    chosen = launching.launch(context, operands[0], args)
    if args["dry-run"]:
        return launching.dry_run(chosen, detached=args["detach"])
    launching.seal()
    from sampan.runtime import run as runs

    return runs.run_container(chosen)
