"""`sampan network ls`."""

from __future__ import annotations

from sampan.cli import listing, units
from sampan.cli.commands.ps import labels
from sampan.cli.common_options import FILTER, FORMAT, NO_TRUNC
from sampan.cli.options import Command, option
from sampan.kit import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="network ls",
    aliases=("network list",),
    summary="List networks",
    at_most=0,
    options=(FILTER, FORMAT, NO_TRUNC, option("-q --quiet", "bool", "Show IDs alone")),
)


def run(session: Session, args: Arguments) -> None:
    query = {"filters": listing.filters(args["filter"])}
    found = session.client.call("GET", "/networks", query) or []
    found.sort(key=lambda network: network["Name"])
    whole = args["no-trunc"]
    if args["quiet"] and not args["format"]:
        for network in found:
            print(network["Id"] if whole else listing.short_id(network["Id"]))
        return
    format_ = args["format"] or session.config.get("networksFormat", "")
    listing.show(found, fields(whole), ("ID", "Name", "Driver", "Scope"), format_)


def fields(whole: bool) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    return {
        "ID": ("NETWORK ID", lambda n: n["Id"] if whole else listing.short_id(n["Id"])),
        "Name": ("NAME", lambda n: n["Name"]),
        "Driver": ("DRIVER", lambda n: n["Driver"]),
        "Scope": ("SCOPE", lambda n: n.get("Scope", "")),
        "IPv4": ("IPV4", lambda n: str(n.get("EnableIPv4", False)).lower()),
        "IPv6": ("IPV6", lambda n: str(n.get("EnableIPv6", False)).lower()),
        "Internal": ("INTERNAL", lambda n: str(n.get("Internal", False)).lower()),
        "Labels": ("LABELS", lambda n: labels(n.get("Labels"))),
        "Label": ("", lambda n: lambda name: (n.get("Labels") or {}).get(name, "")),
        "CreatedAt": ("CREATED AT", lambda n: created_at(n.get("Created"))),
    }


def created_at(text: str | None) -> str:
    """An RFC 3339 time in Go's own form."""
    nanoseconds = clock.parse(text or clock.ZERO)
    return units.go_time(nanoseconds // 10**9, nanoseconds % 10**9)
