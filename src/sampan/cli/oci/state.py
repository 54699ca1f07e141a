"""`state`: a container's state document."""

from __future__ import annotations

from sampan.cli.oci.table import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(name="state", summary="show the state of a container as JSON")


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.kit import json
    from sampan.runtime import state

    print(json.pretty(state.load(context.root, operands[0]).document()))
    return 0
