"""`start`: let a created container run its command."""

from __future__ import annotations

from sampan.cli.oci.table import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(name="start", summary="start the process of a created container")


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.runtime import start, state

    start.start(state.load(context.root, operands[0]))
    return 0
