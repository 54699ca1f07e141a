"""`sampan builder du`: what builds keep for later."""

from __future__ import annotations

from sampan.cli import listing, units
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="builder du",
    summary="Show what the build cache holds",
    description="A layer that an image has, too, is shared: it takes nothing of its own. Cache"
    " mounts that a step uses right now are in use.",
    at_most=0,
    options=(option("--verbose", "bool", "Show which instruction each comes from"),),
)
FIELDS: listing.FieldTable = {
    "ID": (
        "ID",
        lambda one: one["ID"],
    ),
    "Type": (
        "TYPE",
        lambda one: one["Type"],
    ),
    "Reclaimable": (
        "RECLAIMABLE",
        lambda one: str(not one["InUse"]).lower(),
    ),
    "Shared": (
        "SHARED",
        lambda one: str(one["Shared"]).lower(),
    ),
    "Size": (
        "SIZE",
        lambda one: units.size(one["Size"]),
    ),
    "LastUsedAt": (
        "LAST USED",
        lambda one: one["LastUsedAt"][:19],
    ),
    "Description": (
        "DESCRIPTION",
        lambda one: one["Description"],
    ),
}


def run(session: Session, args: Arguments) -> None:
    found = session.client.call("GET", "/system/df", {"type": "build-cache"})["BuildCache"]
    columns = [name for name in FIELDS if name != "Description" or args["verbose"]]
    print(listing.text(found, FIELDS, columns), end="")
    own = [one for one in found if not one["Shared"]]
    print(f"Shared:\t\t{units.size(_sum(one for one in found if one['Shared']))}")
    print(f"Private:\t{units.size(_sum(own))}")
    print(f"Reclaimable:\t{units.size(_sum(one for one in own if not one['InUse']))}")


def _sum(records: Any) -> int:
    return sum(int(one["Size"]) for one in records)
