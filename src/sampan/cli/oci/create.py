"""`create`: a container whose command waits for `start`."""

from __future__ import annotations

from sampan.cli.oci import launching
from sampan.cli.oci.table import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(
    name="create",
    summary="create a container",
    description="Everything is made but the process is not started: `start` does that.",
    flags=launching.CREATE,
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    chosen = launching.launch(context, operands[0], args)
    if args["dry-run"]:
        return launching.dry_run(chosen, detached=True)
    launching.seal()
    from sampan.runtime import run as runs

    runs.create_container(chosen)
    return 0
