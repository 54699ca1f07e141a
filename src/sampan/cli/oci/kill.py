"""`kill`: a signal for a container's process, or for all of them."""

from __future__ import annotations

from sampan.cli.oci.table import Verb, flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.oci.table import Context

VERB = Verb(
    name="kill",
    summary="send a signal (TERM) to the container's process",
    operands="<container-id> [signal]",
    at_most=2,
    flags=(flag("--all -a", "", "to every process of the container", hidden=True),),
)


def run(context: Context, args: dict[str, Any], operands: list[str]) -> int:
    from sampan.kit import errors
    from sampan.linux import signals
    from sampan.runtime import kill, state

    word = operands[1] if len(operands) > 1 else "TERM"
    try:
        number = 0 if word == "0" else signals.parse(word)  # 0 only asks whether it is there
    except ValueError as error:
        raise errors.InvalidArgument(str(error)) from None
    kill.kill(state.load(context.root, operands[0]), number, every=args["all"])
    return 0
