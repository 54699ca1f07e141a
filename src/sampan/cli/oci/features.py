"""`features`: what this runtime can do, for callers that ask before they use it."""

from __future__ import annotations

from sampan.cli.oci.table import Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(
    name="features",
    summary="show what this runtime can do, as JSON",
    operands="",
    at_least=0,
    at_most=0,
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.kit import json
    from sampan.runtime import spec

    print(json.pretty(spec.features()))
    return 0
