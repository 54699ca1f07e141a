"""`restore`: a container from what `checkpoint` saved."""

from __future__ import annotations

from sampan.cli.oci import criu_options, launching
from sampan.cli.oci.table import Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(
    name="restore",
    summary="restore a container from a checkpoint",
    flags=(
        *criu_options.SHARED,
        launching.BUNDLE,
        launching.CONSOLE,
        launching.PID_FILE,
        flag("--detach -d", "", "return once the processes run"),
        flag("--no-subreaper", "", "do not adopt the processes that the container leaves"),
        flag("--no-pivot", "", "change the root by a moved mount"),
        flag("--lsm-profile", "string", "TYPE:NAME of the LSM profile"),
        flag("--lsm-mount-context", "string", "LSM context of the mounts"),
    ),
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.kit import errors
    from sampan.runtime import restore

    if args["lsm-mount-context"]:
        raise errors.Unsupported("--lsm-mount-context is not supported")
    chosen = criu_options.options(args)
    return restore.restore(launching.launch(context, operands[0], args), chosen)
