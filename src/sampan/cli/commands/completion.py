"""`sampan completion`: the script that teaches a shell to complete."""

from __future__ import annotations

import sys

from sampan.cli import completion_scripts
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="completion",
    summary="Print a completion script for a shell",
    description="Load it at once with 'source <(sampan completion bash)', or write it where the "
    "shell looks for such scripts.",
    operands="bash|zsh|fish",
    at_least=1,
    at_most=1,
    completes="bash|zsh|fish",
)


def run(session: Session, args: Arguments) -> None:
    script = completion_scripts.SCRIPTS.get(args.operands[0])
    if script is None:
        raise args.fail(f"no completion for {args.operands[0]!r}: bash, zsh and fish have one",
                        code=1)  # fmt: skip
    sys.stdout.write(script)
