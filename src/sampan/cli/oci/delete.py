"""`delete`: remove what `create` made."""

from __future__ import annotations

from sampan.cli.oci.table import Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(
    name="delete",
    summary="delete what a stopped container holds",
    flags=(flag("--force -f", "", "kill it first; a container that is not there is no error"),),
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.runtime import delete, errors, state

    try:
        container = state.load(context.root, operands[0])
    except errors.ContainerNotFound:
        if not args["force"]:
            raise
        delete.delete_unfinished(context.root, operands[0])
        return 0
    delete.delete(container, force=args["force"], warn=context.log.warning)
    return 0
