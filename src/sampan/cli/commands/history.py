"""`sampan history`: the steps that made an image."""

from __future__ import annotations

from sampan.cli import listing, output, units
from sampan.cli.common_options import FORMAT, NO_TRUNC, PLATFORM
from sampan.cli.options import Command, option
from sampan.kit import clock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="history",
    aliases=("image history",),
    summary="Show the steps that made an image",
    operands="IMAGE",
    at_least=1,
    at_most=1,
    options=(
        FORMAT,
        option("-H --human", "bool", "Show sizes and times in words", default=True),
        NO_TRUNC,
        PLATFORM,
        option("-q --quiet", "bool", "Show IDs alone"),
    ),
    completes="image",
)
DEFAULT = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")


def run(session: Session, args: Arguments) -> None:
    query = {"platform": output.platform(args["platform"])}
    steps = session.client.call("GET", f"/images/{args.operands[0]}/history", query) or []
    whole = args["no-trunc"]
    if args["quiet"] and not args["format"]:
        for step in steps:
            print(_id(step, whole))
        return
    listing.show(steps, fields(whole, args["human"]), DEFAULT, args["format"])


def fields(whole: bool, human: bool) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    return {
        "ID": ("IMAGE", lambda s: _id(s, whole)),
        "CreatedAt": ("CREATED AT", _created_at),
        "CreatedSince": (
            "CREATED" if human else "CREATED AT",
            lambda s: _created(s) if human else _created_at(s),
        ),
        "CreatedBy": ("CREATED BY", lambda s: _created_by(s, whole)),
        "Size": ("SIZE", lambda s: units.size(s["Size"], 3) if human else str(s["Size"])),
        "Comment": ("COMMENT", lambda s: s.get("Comment") or ""),
    }


def _id(step: dict[str, Any], whole: bool) -> str:
    ident = str(step["Id"])
    return ident if whole else listing.short_id(ident)


def _created(step: dict[str, Any]) -> str:
    seconds = step.get("Created") or 0
    return units.ago(seconds) if seconds > 0 else "N/A"


def _created_at(step: dict[str, Any]) -> str:
    seconds = max(step.get("Created") or 0, 0)
    return clock.rfc3339(seconds * 10**9).partition(".")[0] + "Z"


def _created_by(step: dict[str, Any], whole: bool) -> str:
    text = str(step.get("CreatedBy") or "").replace("\t", " ")
    return text if whole else listing.ellipsis(text, 45)
