"""What `stop` and `restart` share: the request, and what the engine has to say about it."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session


def ask(session: Session, path: str, args: Arguments) -> None:
    """A Warning header (a PID 1 that does not hear the signal) is shown on stderr."""
    query = {
        "signal": args["signal"] or None,
        "t": args["timeout"] if args.given("timeout") else None,
    }
    response = session.client.stream("POST", path, query)
    response.read()
    session.client.release(response)
    _, _, said = response.headers.get("warning", "").partition('"')
    if said:
        text = said.removesuffix('"').replace('\\"', '"')
        print(f"WARNING: {text}", file=sys.stderr)
