"""`sampan context import`: from a file that `context export` wrote, ours or docker's."""

from __future__ import annotations

import sys

from sampan.cli import contexts
from sampan.cli.options import Command
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="context import",
    summary="Take a context from a file",
    operands="CONTEXT FILE|-",
    at_least=2,
    at_most=2,
)


def run(session: Session, args: Arguments) -> None:
    name, file = args.operands
    store = contexts.Store(session.config_dir)
    contexts.check_name(name)
    if name in store.names():
        raise errors.AlreadyExists(f'context "{name}" already exists')
    if file == "-":
        data = sys.stdin.buffer.read()
    else:
        with open(file, "rb") as opened:
            data = opened.read()
    store.write(contexts.unpack(name, data))
    print(name)
    print(f'Successfully imported context "{name}"', file=sys.stderr)
