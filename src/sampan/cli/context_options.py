"""What `context create` and `context update` share: options, and what they do to a context."""

from __future__ import annotations

from sampan.cli import contexts
from sampan.cli.options import option
from sampan.cli.parse import csv
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

OPTIONS = (
    option("--description", "string", "What it is for"),
    option("--docker", "string",
           "The engine: host=ADDRESS[,ca=FILE][,cert=FILE][,key=FILE][,skip-tls-verify=BOOL]"),
)  # fmt: skip
_KEYS = ("host", "ca", "cert", "key", "skip-tls-verify")
_TRUE, _FALSE = ("1", "t", "true"), ("", "0", "f", "false")


def default(session: Session) -> contexts.Context:
    """The engine that is used without a name."""
    return contexts.Context(
        name=contexts.DEFAULT,
        host=f"unix://{session.paths.api_socket}",
        description="This host's engine",
    )


def changed(context: contexts.Context, args: Arguments) -> contexts.Context:
    """With what the command line says; files are read here."""
    if args.given("description"):
        context = context.replace(description=args["description"])
    if not args.given("docker"):
        return context
    try:
        given = dict(csv.pairs(args["docker"]))
    except ValueError as error:
        raise errors.InvalidArgument(f"--docker: {error}") from None
    for key in given:
        if key not in _KEYS:
            raise errors.InvalidArgument(f"--docker: unrecognized config key: {key}")
    skip = given.get("skip-tls-verify", "").lower()
    if skip not in _TRUE + _FALSE:
        raise errors.InvalidArgument(f"--docker: skip-tls-verify is true or false, not {skip!r}")
    tls = {}
    for key in contexts.FILES:
        if given.get(key):
            with open(given[key], "rb") as file:
                tls[key] = file.read()
    host = given.get("host", context.host)
    return context.replace(host=host, tls=tls, skip_verify=skip in _TRUE)
