"""`registry serve`: a registry of one's own, one process and one folder."""

from __future__ import annotations

from sampan.cli.options import Arguments, Command, option
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.session import Session

COMMAND = Command(
    name="registry serve",
    summary="Serve a registry from a directory",
    at_most=0,
    options=(
        option("--addr", "string", "Where to listen", metavar="HOST:PORT",
               default="127.0.0.1:5000"),
        option("--root", "string", "Directory of blobs and index (registry below the engine's)",
               completes="dir"),
        option("--tls-cert", "string", "Certificate chain, for https", completes="file"),
        option("--tls-key", "string", "Its key", completes="file"),
        option("--htpasswd", "string", "Users with bcrypt passwords, who alone may use it",
               completes="file"),
        option("--debug", "bool", "Log requests that are refused"),
    ),
    examples=(
        ("sampan registry serve", "Serve at 127.0.0.1:5000 until interrupted."),
        ("sampan push 127.0.0.1:5000/web", "Push an image there."),
    ),
)  # fmt: skip


def run(session: Session, args: Arguments) -> int:
    import asyncio
    import logging
    import sqlite3

    from sampan.registry.server import serving

    level = logging.INFO if args["debug"] else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(levelname).1s %(message)s")
    host, _, port = args["addr"].rpartition(":")
    if not port.isdigit():
        raise args.fail(f"--addr must be HOST:PORT, not {args['addr']!r}")
    try:
        asyncio.run(
            serving.serve(
                args["root"] or f"{session.paths.root}/registry",
                (host.strip("[]") or "127.0.0.1", int(port)),
                tls=(args["tls-cert"], args["tls-key"]) if args["tls-cert"] else None,
                htpasswd=args["htpasswd"],
                ready=lambda address: print(f"serving at {address}", flush=True),
            )
        )
    except sqlite3.Error as error:
        raise errors.Unavailable(f"the registry's index: {error}") from error
    return 0
