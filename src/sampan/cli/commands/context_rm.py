"""`sampan context rm`."""

from __future__ import annotations

import sys

from sampan.cli import config_file, contexts
from sampan.cli.options import Command, option
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="context rm",
    aliases=("context remove",),
    summary="Forget contexts",
    operands="CONTEXT [CONTEXT...]",
    at_least=1,
    options=(option("-f --force", "bool", "Also the one in use; do not mind what is not there"),),
    completes="context",
)


def run(session: Session, args: Arguments) -> int:
    code = 0
    for name in args.operands:
        try:
            _remove(session, name, force=args["force"])
        except errors.SampanError as error:
            sys.stdout.flush()
            print(error, file=sys.stderr)
            code = 1
        else:
            print(name)
    return code


def _remove(session: Session, name: str, *, force: bool) -> None:
    store = contexts.Store(session.config_dir)
    if name == contexts.DEFAULT:
        raise errors.InvalidArgument(f'context "{name}" cannot be removed')
    contexts.check_name(name)
    if name not in store.names():
        if force:
            return
        raise contexts.ContextNotFound(name)
    if name == session.config.get("currentContext"):
        if not force:
            raise errors.Conflict(f'context "{name}" is in use, set -f flag to force remove')
        rest = {k: v for k, v in session.config.items() if k != "currentContext"}
        config_file.write(session.config_dir, rest)
    store.remove(name)
