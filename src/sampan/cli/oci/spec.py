"""`spec`: a config.json to begin with."""

from __future__ import annotations

import os

from sampan.cli.oci.table import Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(
    name="spec",
    summary="write a config.json to begin with",
    operands="",
    at_least=0,
    at_most=0,
    flags=(
        flag("--bundle -b", "string", "directory to write it to", default="."),
        flag("--rootless", "", "for a container of a user who is not root"),
    ),
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.kit import errors, json
    from sampan.runtime import spec

    document = spec.rootless_example() if args["rootless"] else spec.example()
    path = os.path.join(args["bundle"], "config.json")
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(json.pretty(document, indent=4) + "\n")
    except FileExistsError:
        raise errors.AlreadyExists(f"file {path} exists. Remove it first") from None
    return 0
