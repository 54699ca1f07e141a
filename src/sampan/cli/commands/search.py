"""`sampan search`: repositories of Docker Hub, or of another registry."""

from __future__ import annotations

from sampan.cli import config_file, listing
from sampan.cli.common_options import FILTER, FORMAT, NO_TRUNC
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="search",
    summary="Search Docker Hub, or another registry, for images",
    description="TERM is looked for at Docker Hub, HOST/TERM at that registry. One that has no"
    " search of its own, as most, is asked for the names of its repositories; those that hold the"
    " term are shown, with the registry's name, as they can be pulled.",
    operands="[HOST[:PORT]/]TERM",
    at_least=1,
    at_most=1,
    options=(
        FILTER,
        FORMAT,
        option("--limit", "int", "Show at most this many, up to 100", shown_default="25"),
        NO_TRUNC,
    ),
    examples=(("sampan search localhost:5000/web", "what one's own registry has of that name"),),
)


def run(session: Session, args: Arguments) -> None:
    term = args.operands[0]
    query = {
        "term": term,
        "limit": args["limit"] or None,
        "filters": listing.filters(args["filter"]),
    }
    headers = config_file.registry_auth(session.config, term)
    found = session.client.call("GET", "/images/search", query, None, headers) or []
    found.sort(key=lambda item: -item["star_count"])
    columns = ("Name", "Description", "StarCount", "IsOfficial")
    listing.show(found, fields(args["no-trunc"]), columns, args["format"])


def fields(whole: bool) -> dict[str, tuple[str, Callable[[Any], Any]]]:
    return {
        "Name": ("NAME", lambda item: item["name"]),
        "Description": ("DESCRIPTION", lambda item: _described(item["description"], whole)),
        "StarCount": ("STARS", lambda item: str(item["star_count"])),
        "IsOfficial": ("OFFICIAL", lambda item: "[OK]" if item["is_official"] else ""),
        "IsAutomated": ("AUTOMATED", lambda item: "[OK]" if item["is_automated"] else ""),
    }


def _described(text: str, whole: bool) -> str:
    line = text.replace("\n", " ").replace("\r", " ")
    return line if whole else listing.ellipsis(line, 45)
