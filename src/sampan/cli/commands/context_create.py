"""`sampan context create`: an engine under a name."""

from __future__ import annotations

import sys

from sampan.cli import context_options, contexts
from sampan.cli.options import Command, option
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="context create",
    summary="Keep the address of an engine under a name",
    operands="CONTEXT",
    at_least=1,
    at_most=1,
    options=(
        *context_options.OPTIONS,
        option("--from", "string", "Begin with what this context has", completes="context"),
    ),
    examples=(
        ("sampan context create shed --docker host=ssh://me@shed", "an engine behind ssh"),
        ("sampan -c shed ps", "use it once; `sampan context use shed` for always"),
    ),
)


def run(session: Session, args: Arguments) -> None:
    name, store = args.operands[0], contexts.Store(session.config_dir)
    contexts.check_name(name)
    if name in store.names():
        raise errors.AlreadyExists(f'context "{name}" already exists')
    begin = context_options.default(session)
    if args["from"] and args["from"] != contexts.DEFAULT:
        begin = store.get(args["from"])
    store.write(context_options.changed(begin.replace(name=name), args))
    print(name)
    print(f'Successfully created context "{name}"', file=sys.stderr)
