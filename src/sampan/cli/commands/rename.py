"""`sampan rename`: another name for a container."""

from __future__ import annotations

from sampan.cli.options import Command
from sampan.client import errors
from sampan.kit import errors as kit_errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="rename",
    aliases=("container rename",),
    summary="Give a container another name",
    operands="CONTAINER NEW_NAME",
    at_least=2,
    at_most=2,
    completes="container",
)


def run(session: Session, args: Arguments) -> None:
    old, new = args.operands
    if not old.strip() or not new.strip():
        raise args.fail("neither old nor new names may be empty", code=1)
    try:
        session.client.call("POST", f"/containers/{old}/rename", {"name": new})
    except errors.ApiError as error:
        message = (
            f"Error response from daemon: {error}\nError: failed to rename container named {old}"
        )
        raise kit_errors.InvalidArgument(message) from error
