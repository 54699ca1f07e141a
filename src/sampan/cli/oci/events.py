"""`events`: figures of a container, once or in a stream, and its OOM kills."""

from __future__ import annotations

from sampan.cli.oci.table import Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(
    name="events",
    summary="show figures of a container and its out-of-memory kills",
    flags=(
        flag("--interval", "string", "time between two figures", default="5s"),
        flag("--stats", "", "the figures once, then end"),
    ),
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.kit import json
    from sampan.runtime import events, state

    interval = events.seconds(args["interval"])
    container = state.load(context.root, operands[0])
    if args["stats"]:
        print(json.dumps(events.stats(container)))
        return 0
    for event in events.stream(container, interval):
        print(json.dumps(event), flush=True)
    return 0
