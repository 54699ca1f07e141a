"""`sampan context update`: another address, another description."""

from __future__ import annotations

import sys

from sampan.cli import context_options, contexts
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="context update",
    summary="Change a context",
    operands="CONTEXT",
    at_least=1,
    at_most=1,
    options=context_options.OPTIONS,
    completes="context",
)


def run(session: Session, args: Arguments) -> None:
    name, store = args.operands[0], contexts.Store(session.config_dir)
    contexts.check_name(name)
    store.write(context_options.changed(store.get(name), args))
    print(name)
    print(f'Successfully updated context "{name}"', file=sys.stderr)
