"""`sampan events`: what happens, as it happens."""

from __future__ import annotations

import sys
import time

from sampan.cli import listing, moments, units
from sampan.cli.common_options import FILTER, INSPECT_FORMAT
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="events",
    aliases=("system events",),
    summary="Show what happens in the engine, as it happens",
    at_most=0,
    options=(
        FILTER,
        INSPECT_FORMAT.replace(short=""),
        option("--since", "string", "Begin with what happened since a time, or 42m ago"),
        option("--until", "string", "End at a time"),
    ),
)


def run(session: Session, args: Arguments) -> int:
    now = time.time()
    query = {
        "since": moments.parse(args["since"], now),
        "until": moments.parse(args["until"], now),
        "filters": listing.filters(args["filter"]),
    }
    response = session.client.stream("GET", "/events", query)
    for event in session.client.messages(response):
        print(listing.render(args["format"], _Event(event)) if args["format"] else _line(event))
        sys.stdout.flush()
    return 0


class _Event(dict[str, object]):
    """With the names of Docker's own type for what the API has in small letters."""

    _NAMES = {name.title(): name for name in ("status", "from", "scope", "time")} | {
        "ID": "id",
        "TimeNano": "timeNano",
    }

    def __contains__(self, name: object) -> bool:
        return super().__contains__(self._NAMES.get(str(name), name))

    def __getitem__(self, name: str) -> object:
        return super().__getitem__(self._NAMES.get(name, name))


def _line(event: dict[str, Any]) -> str:
    """`TIME TYPE ACTION ID (key=value, …)`, the time local with nanoseconds."""
    nanoseconds = int(event.get("timeNano") or int(event.get("time") or 0) * 10**9)
    words = [_time(nanoseconds), event["Type"], event["Action"], event["Actor"]["ID"]]
    attributes = sorted((event["Actor"].get("Attributes") or {}).items())
    shown = f" ({', '.join(f'{key}={value}' for key, value in attributes)})" if attributes else ""
    return " ".join(words) + shown


def _time(nanoseconds: int) -> str:
    date, clock_time, zone, _ = units.go_time(nanoseconds // 10**9).split(" ", 3)
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    return f"{date}T{clock_time}.{nanoseconds % 10**9:09}{zone}"
