"""`sampan context use`: the one to use from now on."""

from __future__ import annotations

import sys

from sampan.cli import config_file, contexts
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="context use",
    summary="Choose the context that is used from now on",
    operands="CONTEXT",
    at_least=1,
    at_most=1,
    completes="context",
)


def run(session: Session, args: Arguments) -> None:
    name = args.operands[0]
    config = dict(session.config)
    if name == contexts.DEFAULT:
        config.pop("currentContext", None)
    else:
        contexts.Store(session.config_dir).get(name)
        config["currentContext"] = name
    config_file.write(session.config_dir, config)
    print(name)
    print(f'Current context is now "{name}"', file=sys.stderr)
