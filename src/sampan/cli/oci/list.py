"""`list`: all containers of a root."""

from __future__ import annotations

import os

from sampan.cli.oci.table import Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(
    name="list",
    summary="list the containers of the given root",
    operands="",
    at_least=0,
    at_most=0,
    flags=(
        flag("--format -f", "string", "table or json", default="table"),
        flag("--quiet -q", "", "ids only"),
    ),
)

_COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.kit import errors, json

    if args["format"] not in ("table", "json"):
        raise errors.InvalidArgument("invalid format option")
    if context.root_given:
        os.stat(context.root)  # a root that was named and is not there is somebody's mistake
    found = containers(context.root)
    if args["quiet"]:
        print("".join(f"{one['id']}\n" for one in found), end="")
    elif args["format"] == "json":
        print(json.dumps(found) if found else "null")
    else:
        print("".join(_table([_COLUMNS, *[[one[c] for c in _COLUMNS] for one in found]])), end="")
    return 0


def containers(root: str) -> list[dict[str, Any]]:
    from sampan.kit import errors
    from sampan.runtime import state

    found = []
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else ():
        try:
            found.append(state.load(root, name).document())
        except (errors.SampanError, OSError):  # being made or removed just now
            continue
    return found


def _table(rows: list[Any]) -> list[str]:
    """Columns of at least 12, three apart, the heading in capitals."""
    rows[0] = [name.upper() for name in rows[0]]
    widths = [max(12, *(len(str(row[i])) + 3 for row in rows)) for i in range(len(_COLUMNS) - 1)]
    return [
        "".join(f"{cell!s:{width}}" for cell, width in zip(row, [*widths, 0], strict=True)) + "\n"
        for row in rows
    ]
