"""`inspect` in all its forms: JSON as the engine has it, or through a template."""

from __future__ import annotations

import sys

from sampan.cli import listing
from sampan.client import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

BROKEN = 64  # Docker's code for a template that cannot be read
PATHS = {  # in the order in which a bare `inspect` tries them
    "container": "/containers/{}/json",
    "image": "/images/{}/json",
    "network": "/networks/{}",
    "volume": "/volumes/{}",
}


def show(
    session: Session,
    args: Arguments,
    kinds: tuple[str, ...],
    query: dict[str, Any] | None = None,
) -> int:
    """Print what was found, then complain about the rest: 1 if there was any."""
    found, failures = [], []
    size = "size" in {o.name for o in args.command.options} and args["size"]
    for name in args.operands:
        try:
            found.append(_find(session, name, kinds, {"size": True} if size else None, query))
        except errors.ApiError as error:
            failures.append(str(error))
    format_ = args["format"]
    if format_:
        try:
            for item in found:
                print(listing.render(format_, item))
        except listing.BadFormat as error:
            if not error.broken:
                raise
            print(error, file=sys.stderr)
            return BROKEN
    else:
        import json

        print(json.dumps(found, indent=4, ensure_ascii=False))
    sys.stdout.flush()
    for message in failures:
        print(message, file=sys.stderr)
    return int(bool(failures))


def _find(
    session: Session,
    name: str,
    kinds: tuple[str, ...],
    of_container: dict[str, Any] | None,
    query: dict[str, Any] | None,
) -> Any:
    for kind in kinds:
        try:
            return session.client.call(
                "GET", PATHS[kind].format(name), of_container if kind == "container" else query
            )
        except errors.NotFound as error:
            if len(kinds) == 1:
                raise errors.NotFound(f"Error response from daemon: {error}", 404) from error
        except errors.BadRequest:
            if len(kinds) == 1:
                raise
    raise errors.NotFound(f"Error: No such object: {name}", 404)
