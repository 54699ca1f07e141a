"""`sampan context inspect`."""

from __future__ import annotations

import sys

from sampan.cli import context_options, contexts, listing
from sampan.cli.common_options import INSPECT_FORMAT
from sampan.cli.options import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="context inspect",
    summary="Show contexts in detail",
    operands="[CONTEXT...]",
    options=(INSPECT_FORMAT,),
    completes="context",
)


def run(session: Session, args: Arguments) -> int:
    found, missing = [], []
    for name in args.operands or [session.context]:
        try:
            found.append(_describe(session, name))
        except contexts.ContextNotFound as error:
            missing.append(error)
    if args["format"]:
        for item in found:
            print(listing.render(args["format"], item))
    else:
        import json

        print(json.dumps(found, indent=4, ensure_ascii=False))
    sys.stdout.flush()
    for failure in missing:
        print(failure, file=sys.stderr)
    return int(bool(missing))


def _describe(session: Session, name: str) -> dict[str, Any]:
    store = contexts.Store(session.config_dir)
    own = name == contexts.DEFAULT
    context = context_options.default(session) if own else store.get(name)
    files = [contexts.FILES[key] for key in context.tls]
    return {
        **context.meta(),
        "TLSMaterial": {"docker": files} if files else {},
        "Storage": {
            "MetadataPath": "<IN MEMORY>" if own else store.meta_path(name),
            "TLSPath": "<IN MEMORY>" if own else store.tls_path(name),
        },
    }
