"""`checkpoint`: a container's processes as files, by criu."""

from __future__ import annotations

from sampan.cli.oci import criu_options
from sampan.cli.oci.table import Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(
    name="checkpoint",
    summary="save a running container's processes",
    flags=(
        *criu_options.SHARED,
        flag("--parent-path", "string", "an earlier --pre-dump, relative to the image's directory"),
        flag("--leave-running", "", "let the container go on"),
        flag("--tcp-skip-in-flight", "", "without TCP connections that are being opened"),
        flag("--link-remap", "", "with files that were deleted while open"),
        flag("--status-fd", "int", "descriptor to tell when --lazy-pages is ready", default=-1),
        flag("--page-server", "string", "ADDRESS:PORT that takes the memory"),
        flag("--pre-dump", "", "only the memory, and let the container go on"),
    ),
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.runtime import checkpoint, state

    container = state.load(context.root, operands[0])
    checkpoint.checkpoint(container, criu_options.options(args))
    return 0
