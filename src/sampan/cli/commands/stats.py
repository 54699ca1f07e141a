"""`sampan stats`: what containers use, live."""

from __future__ import annotations

import select
import sys

from sampan.cli import listing, units
from sampan.cli.common_options import FORMAT, NO_TRUNC
from sampan.cli.options import Command, option
from sampan.client import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="stats",
    aliases=("container stats",),
    summary="Show what containers use, live",
    operands="[CONTAINER...]",
    options=(
        option("-a --all", "bool", "Show those that do not run, too"),
        FORMAT,
        option("--no-stream", "bool", "Show it once"),
        NO_TRUNC,
    ),
    completes="running",
)
DEFAULT = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
FIRST_PAUSE, PAUSE = 0.5, 1.0  # seconds between two samples
CLEAR = "\x1b[H\x1b[J"


class Row(Record):
    """A container and two samples of it; `now` is None where it does not run."""

    container: str  # as it was asked for
    ident: str
    name: str
    before: dict[str, Any] | None = None
    now: dict[str, Any] | None = None


def run(session: Session, args: Arguments) -> None:
    old = _sample(session, args, {})
    _wait(FIRST_PAUSE)
    live = sys.stdout.isatty() and not args["no-stream"]
    format_ = args["format"] or session.config.get("statsFormat", "")
    while True:
        rows = _sample(session, args, old)
        shown = listing.text(rows.values(), fields(args["no-trunc"]), DEFAULT, format_)
        sys.stdout.write(CLEAR + shown if live else shown)
        sys.stdout.flush()
        if args["no-stream"]:
            return
        old = rows
        _wait(PAUSE)


def _wait(seconds: float) -> None:
    select.select([], [], [], seconds)


def _sample(session: Session, args: Arguments, old: dict[str, Row]) -> dict[str, Row]:
    rows = {}
    for name in args.operands or _names(session, args["all"]):
        query = {"stream": "0", "one-shot": True}
        try:
            now = session.client.call("GET", f"/containers/{name}/stats", query)
        except errors.NotFound:
            if args.operands and not old:
                raise
            continue  # it was removed since the last look
        running = bool((now.get("memory_stats") or {}).get("usage") or _pids(now))
        rows[name] = Row(
            container=name,
            ident=now.get("id") or "",
            name=str(now.get("name") or "").removeprefix("/"),
            before=old[name].now if name in old else None,
            now=now if running else None,
        )
    return rows


def _names(session: Session, every: bool) -> list[str]:
    found = session.client.call("GET", "/containers/json", {"all": every or None}) or []
    return [container["Id"] for container in found]


def fields(whole: bool) -> dict[str, tuple[str, Callable[[Row], Any]]]:
    return {
        "Container": ("CONTAINER", lambda r: r.container),
        "ID": ("CONTAINER ID", lambda r: r.ident if whole else listing.short_id(r.ident)),
        "Name": ("NAME", lambda r: r.name or "--"),
        "CPUPerc": ("CPU %", lambda r: f"{cpu_percent(r):.2f}%" if r.now else "--"),
        "MemUsage": ("MEM USAGE / LIMIT", _memory_shown),
        "MemPerc": ("MEM %", _memory_percent),
        "NetIO": ("NET I/O", _network),
        "BlockIO": ("BLOCK I/O", _block),
        "PIDs": ("PIDS", lambda r: str(_pids(r.now)) if r.now else "--"),
    }


def cpu_percent(row: Row) -> float:
    """Of one processor, so four busy ones make 400."""
    if row.now is None or row.before is None:
        return 0.0
    now, before = row.now["cpu_stats"], row.before["cpu_stats"]
    used = now["cpu_usage"]["total_usage"] - before["cpu_usage"]["total_usage"]
    passed = (now.get("system_cpu_usage") or 0) - (before.get("system_cpu_usage") or 0)
    processors = now.get("online_cpus") or len(now["cpu_usage"].get("percpu_usage") or [0])
    return used / passed * processors * 100 if passed > 0 and used > 0 else 0.0


def memory(stats: dict[str, Any]) -> tuple[int, int]:
    """(usage, limit) in bytes; file cache that could be dropped is not usage."""
    found = stats.get("memory_stats") or {}
    usage, detail = int(found.get("usage") or 0), found.get("stats") or {}
    cache = int(detail.get("total_inactive_file", detail.get("inactive_file", 0)))
    return usage - cache if cache < usage else usage, int(found.get("limit") or 0)


def _memory_shown(row: Row) -> str:
    if row.now is None:
        return "-- / --"
    usage, limit = memory(row.now)
    return f"{units.binary_size(usage)} / {units.binary_size(limit)}"


def _memory_percent(row: Row) -> str:
    if row.now is None:
        return "--"
    usage, limit = memory(row.now)
    return f"{usage / limit * 100 if limit else 0:.2f}%"


def _network(row: Row) -> str:
    if row.now is None:
        return "--"
    networks = (row.now.get("networks") or {}).values()
    received = sum(network.get("rx_bytes", 0) for network in networks)
    sent = sum(network.get("tx_bytes", 0) for network in networks)
    return f"{units.size(received, 3)} / {units.size(sent, 3)}"


def _block(row: Row) -> str:
    if row.now is None:
        return "--"
    entries = (row.now.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    totals = {"r": 0, "w": 0}
    for entry in entries:
        letter = entry["op"][:1].lower()
        if letter in totals:
            totals[letter] += entry["value"]
    return f"{units.size(totals['r'], 3)} / {units.size(totals['w'], 3)}"


def _pids(stats: dict[str, Any]) -> int:
    return int((stats.get("pids_stats") or {}).get("current") or 0)
