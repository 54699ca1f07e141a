"""`update`: other limits for a container."""

from __future__ import annotations

from sampan.cli.oci.table import Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

_LIMITS = (
    *("blkio-weight", "cpu-period", "cpu-quota", "cpu-burst", "cpu-share", "cpu-rt-period"),
    *("cpu-rt-runtime", "cpuset-cpus", "cpuset-mems", "cpu-idle", "memory", "memory-reservation"),
    *("memory-swap", "pids-limit"),
)
_RDT = {"l3-cache-schema": "l3CacheSchema", "mem-bw-schema": "memBwSchema"}

VERB = Verb(
    name="update",
    summary="change the limits of a container",
    flags=(
        flag("--resources -r", "string", "file with linux.resources, - for standard input"),
        *[flag(f"--{name}", "string", f"new {name.replace('-', ' ')}") for name in _LIMITS],
        *[flag(f"--{name}", "string", "new line of resctrl's schemata") for name in _RDT],
    ),
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.runtime import state, update

    container = state.load(context.root, operands[0])
    if schemas := {key: args[name] for name, key in _RDT.items() if args[name]}:
        update.update_rdt(container, schemas)
    if args["resources"]:
        resources = _read(args["resources"])
    else:
        resources = update.from_flags({name: args[name] for name in _LIMITS if args[name]})
    update.update(container, resources)
    return 0


def _read(path: str) -> dict[str, Any]:
    from sampan.kit import errors, json

    try:
        with open(0 if path == "-" else path, encoding="utf-8") as file:
            document: dict[str, Any] = json.loads(file.read())
    except ValueError as error:
        raise errors.InvalidArgument(f"--resources {path}: {error}") from None
    return document
