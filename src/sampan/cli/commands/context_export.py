"""`sampan context export`: into a file that `context import` reads, ours and docker's."""

from __future__ import annotations

import os
import sys

from sampan.cli import contexts
from sampan.cli.options import Command
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="context export",
    summary="Write a context, with its keys, to a file",
    operands="CONTEXT [FILE|-]",
    at_least=1,
    at_most=2,
    completes="context",
)


def run(session: Session, args: Arguments) -> None:
    name, file = (*args.operands, f"{args.operands[0]}.dockercontext")[:2]
    contexts.check_name(name)
    context = contexts.Store(session.config_dir).get(name)
    if file == "-":
        if sys.stdout.isatty():
            raise errors.InvalidArgument("cowardly refusing to export to a terminal, name a file")
        contexts.pack(context, sys.stdout.buffer)
        return
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as out:
        contexts.pack(context, out)
    print(f'Written file "{file}"', file=sys.stderr)
