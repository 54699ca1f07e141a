"""`ps`: the processes of a container, by the host's ps(1)."""

from __future__ import annotations

import os

from sampan.cli.oci.table import MANY, Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(
    name="ps",
    summary="show the processes of a container",
    operands="<container-id> [ps options]",
    at_most=MANY,
    interspersed=False,
    description="The options are those of ps(1); -ef without any.",
    flags=(flag("--format -f", "string", "table or json", default="table"),),
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.kit import errors, json
    from sampan.runtime import state

    pids = state.load(context.root, operands[0]).manager.pids()
    if args["format"] == "json":
        print(json.dumps(pids) if pids else "null")
    elif args["format"] == "table":
        print("".join(_of(pids, _ps(operands[1:] or ["-ef"]))), end="")
    else:
        raise errors.InvalidArgument("invalid format option")
    return 0


def _of(pids: list[int], lines: list[str]) -> list[str]:
    """The heading and the lines of these processes."""
    from sampan.kit import errors

    if "PID" not in (titles := lines[0].split()):
        raise errors.InvalidArgument("couldn't find PID field in ps output")
    column = titles.index("PID")
    wanted = {str(pid) for pid in pids}
    return [lines[0], *[x for x in lines[1:] if wanted & {*x.split()[column : column + 1]}]]


def _ps(options: list[str]) -> list[str]:
    """What ps(1) prints; callers may have no PATH."""
    from sampan.kit import errors

    read, write = os.pipe()
    path = next((p for p in ("/usr/bin/ps", "/bin/ps") if os.path.exists(p)), "ps")
    moves = [(os.POSIX_SPAWN_DUP2, write, 1)]
    try:
        pid = os.posix_spawnp(path, ["ps", *options], os.environ, file_actions=moves)
    except FileNotFoundError as missing:
        message = "this host has no ps to ask (apt install procps)"
        raise errors.Unsupported(message) from missing
    os.close(write)
    with open(read, encoding="utf-8", errors="replace") as file:
        lines = file.readlines()
    if os.waitpid(pid, 0)[1] or not lines:
        raise errors.InvalidArgument(f"ps {' '.join(options)} failed")
    return lines
