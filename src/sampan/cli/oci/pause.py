"""`pause`: suspend all processes of a container."""

from __future__ import annotations

from sampan.cli.oci.table import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(name="pause", summary="suspend all processes of a container")


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.runtime import pause, state

    pause.pause(state.load(context.root, operands[0]))
    return 0
