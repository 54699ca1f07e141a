"""`sampan context ls`."""

from __future__ import annotations

from sampan.cli import context_options, contexts, listing
from sampan.cli.common_options import FORMAT
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="context ls",
    aliases=("context list",),
    summary="List contexts",
    at_most=0,
    options=(FORMAT, option("-q --quiet", "bool", "Show names alone")),
)


def run(session: Session, args: Arguments) -> None:
    store, found = contexts.Store(session.config_dir), [context_options.default(session)]
    found += [store.get(name) for name in store.names()]
    if args["quiet"] and not args["format"]:
        for context in found:
            print(context.name)
        return
    rows = [(context, context.name == session.context) for context in found]
    default = ("Marked", "Description", "DockerEndpoint", "Error")
    listing.show(rows, FIELDS, default, args["format"])


def _marked(row: tuple[contexts.Context, bool]) -> str:
    return f"{row[0].name} *" if row[1] else row[0].name


FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "Name": ("NAME", lambda row: row[0].name),
    "Marked": ("NAME", _marked),
    "Description": ("DESCRIPTION", lambda row: row[0].description),
    "DockerEndpoint": ("DOCKER ENDPOINT", lambda row: row[0].host),
    "Error": ("ERROR", lambda _: ""),
    "Current": ("", lambda row: row[1]),
}
