"""`sampan volume ls`."""

from __future__ import annotations

from sampan.cli import listing, units
from sampan.cli.commands.ps import labels
from sampan.cli.common_options import FILTER, FORMAT
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="volume ls",
    aliases=("volume list",),
    summary="List volumes",
    at_most=0,
    options=(FILTER, FORMAT, option("-q --quiet", "bool", "Show names alone")),
)


def run(session: Session, args: Arguments) -> None:
    query = {"filters": listing.filters(args["filter"])}
    found = session.client.call("GET", "/volumes", query)["Volumes"] or []
    found.sort(key=lambda volume: _natural(volume["Name"]))
    if args["quiet"] and not args["format"]:
        for volume in found:
            print(volume["Name"])
        return
    format_ = args["format"] or session.config.get("volumesFormat", "")
    listing.show(found, FIELDS, ("Driver", "Name"), format_)


def _natural(name: str) -> list[tuple[int, str]]:
    """`v2` before `v10`: runs of digits count as numbers."""
    parts: list[str] = []
    for character in name:
        if parts and parts[-1][-1].isdecimal() == character.isdecimal():
            parts[-1] += character
        else:
            parts.append(character)
    return [(int(part) if part.isdecimal() else -1, part) for part in parts]


def _usage(volume: dict[str, Any], key: str) -> int | None:
    data = volume.get("UsageData")
    return int(data[key]) if data else None


def _links(volume: dict[str, Any]) -> str:
    count = _usage(volume, "RefCount")
    return "N/A" if count is None else str(count)


def _size(volume: dict[str, Any]) -> str:
    size = _usage(volume, "Size")
    return "N/A" if size is None else units.size(size, 3)


FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "Name": ("VOLUME NAME", lambda v: v["Name"]),
    "Driver": ("DRIVER", lambda v: v["Driver"]),
    "Scope": ("SCOPE", lambda v: v.get("Scope", "")),
    "Mountpoint": ("MOUNTPOINT", lambda v: v.get("Mountpoint", "")),
    "Labels": ("LABELS", lambda v: labels(v.get("Labels"))),
    "Label": ("", lambda v: lambda name: (v.get("Labels") or {}).get(name, "")),
    "Links": ("LINKS", _links),
    "Size": ("SIZE", _size),
    "Availability": ("AVAILABILITY", lambda _: "N/A"),
    "Group": ("GROUP", lambda _: "N/A"),
    "Status": ("STATUS", lambda _: "N/A"),
}
