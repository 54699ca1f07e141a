"""`sampan plugin ls`."""

from __future__ import annotations

from sampan.cli import listing
from sampan.cli.common_options import FILTER, FORMAT, NO_TRUNC
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="plugin ls",
    aliases=("plugin list",),
    summary="List plugins: an engine of Sampan has none",
    at_most=0,
    options=(FILTER, FORMAT, NO_TRUNC, option("-q --quiet", "bool", "Show IDs alone")),
)


def run(session: Session, args: Arguments) -> None:
    query = {"filters": listing.filters(args["filter"])}
    found = session.client.call("GET", "/plugins", query) or []
    whole = args["no-trunc"]
    if args["quiet"] and not args["format"]:
        for plugin in found:
            print(plugin["Id"] if whole else listing.short_id(plugin["Id"]))
        return
    listing.show(found, fields(whole), ("ID", "Name", "Description", "Enabled"), args["format"])


def fields(whole: bool) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    return {
        "ID": ("ID", lambda p: p["Id"] if whole else listing.short_id(p["Id"])),
        "Name": ("NAME", lambda p: p["Name"]),
        "Description": ("DESCRIPTION", lambda p: p["Config"]["Description"]),
        "Enabled": ("ENABLED", lambda p: str(p["Enabled"]).lower()),
    }
