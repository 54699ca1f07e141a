"""`sampan image tree`: what each layer adds, and what the layers waste."""

from __future__ import annotations

from sampan.cli import listing, units
from sampan.cli.common_options import NO_TRUNC, PLATFORM
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="image tree",
    summary="Show what each layer adds, and what layers waste",
    description="Wasted are the bytes that some layer holds and no container can see, because a"
    " later layer overwrites or deletes the file.",
    operands="IMAGE",
    at_least=1,
    at_most=1,
    options=(
        option("--format", "string", "Show as 'json' or by a Go TEMPLATE"),
        NO_TRUNC,
        PLATFORM,
        option("-n --worst", "int", "How many of the most wasteful files to show", default=10),
    ),
    completes="image",
    examples=(
        ("sampan image tree web:1", "layers, base first, and the most wasteful files"),
        ("sampan image tree web:1 --format '{{.Efficiency}}'", "the share that is of use"),
    ),
)


def run(session: Session, args: Arguments) -> None:
    query = {"platform": args["platform"] or None}
    found = session.client.call("GET", f"/sampan/images/{args.operands[0]}/tree", query)
    if args["format"]:
        print(listing.render(args["format"], found))
        return
    whole = args["no-trunc"]
    print(listing.table([HEADER, *(_row(layer, whole) for layer in found["Layers"])]), end="")
    print()
    print(f"Efficiency:  {found['Efficiency']:.1%}")
    print(f"Files:       {units.size(found['Size'])}")
    print(f"Wasted:      {units.size(found['Wasted'])}")
    worst = [entry for entry in found["Worst"] if entry["Bytes"]][: args["worst"]]
    if worst:
        print()
        rows = [[str(e["Count"]), units.size(e["Bytes"]), e["Path"]] for e in worst]
        print(listing.table([["TIMES", "WASTED", "PATH"], *rows]), end="")


HEADER = ["LAYER", "SIZE", "STORED", "ADDED", "CHANGED", "DELETED", "WASTES", "CREATED BY"]


def _row(layer: dict[str, Any], whole: bool) -> list[str]:
    digest, command = layer["Digest"], " ".join(layer["CreatedBy"].split())
    return [
        digest if whole else listing.short_id(digest),
        units.size(layer["Size"]),
        units.size(layer["CompressedSize"]),
        *(str(layer[key]) for key in ("Added", "Changed", "Deleted")),
        units.size(layer["Wasted"]),
        command if whole else listing.ellipsis(command, 45),
    ]
