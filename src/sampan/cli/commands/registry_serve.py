"""`registry serve`: a registry of one's own, one process and one folder."""

from __future__ import annotations

from sampan.cli.options import Arguments, Command, option

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
    """In a program of its own, which sees third-party packages."""
    import os

    from sampan.cli import start_engine

    words = [start_engine.program("sampan-registry"), "--addr", args["addr"]]
    words += ["--root", args["root"] or f"{session.paths.root}/registry"]
    for name in ("tls-cert", "tls-key", "htpasswd"):
        if args[name]:
            words += [f"--{name}", args[name]]
    if args["debug"]:
        words.append("--debug")
    os.execv(words[0], words)
