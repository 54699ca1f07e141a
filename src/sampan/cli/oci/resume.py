"""`resume`: let a paused container go on."""

from __future__ import annotations

from sampan.cli.oci.table import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(name="resume", summary="let a paused container go on")


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.runtime import pause, state

    pause.resume(state.load(context.root, operands[0]))
    return 0
