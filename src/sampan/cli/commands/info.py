"""`sampan info`: the engine and its host."""

from __future__ import annotations

import sys

from sampan import __version__
from sampan.cli import listing, units
from sampan.cli.common_options import INSPECT_FORMAT
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="info",
    aliases=("system info",),
    summary="Show what the engine is and has",
    at_most=0,
    options=(
        INSPECT_FORMAT,
        option("--diagnose", "bool", "Show what the host has of what the engine can use"),
    ),
)
PLAIN = (  # (label, member), as Docker calls them
    ("Server Version", "ServerVersion"),
    ("Storage Driver", "Driver"),
    ("Logging Driver", "LoggingDriver"),
    ("Cgroup Driver", "CgroupDriver"),
    ("Cgroup Version", "CgroupVersion"),
    ("Default Runtime", "DefaultRuntime"),
    ("Init Binary", "InitBinary"),
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
    ("Total Memory", "MemTotal"),
    ("Name", "Name"),
    ("ID", "ID"),
    ("Docker Root Dir", "DockerRootDir"),
    ("Debug Mode", "Debug"),
    ("HTTP Proxy", "HttpProxy"),
    ("HTTPS Proxy", "HttpsProxy"),
    ("No Proxy", "NoProxy"),
    ("Live Restore Enabled", "LiveRestoreEnabled"),
)


def run(session: Session, args: Arguments) -> None:
    if args["diagnose"]:
        _diagnose(session, args)
        return
    found = session.client.call("GET", "/info")
    found.setdefault("ClientInfo", {"Version": __version__})
    if args["format"]:
        print(listing.render(args["format"], found))
        return
    lines = ["Client: Sampan", f" Version:    {__version__}", "", "Server:"]
    lines += [f" {label}: {value}" for label, value in _rows(found)]
    print("\n".join(lines))
    sys.stdout.flush()
    for warning in found.get("Warnings") or ():
        print(warning, file=sys.stderr)


def _rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("Containers", found.get("Containers", 0)),
        (" Running", found.get("ContainersRunning", 0)),
        (" Paused", found.get("ContainersPaused", 0)),
        (" Stopped", found.get("ContainersStopped", 0)),
        ("Images", found.get("Images", 0)),
    ]
    for label, member in PLAIN:
        value = found.get(member)
        if value in (None, ""):
            continue
        if member == "MemTotal":
            value = units.binary_size(value)
        rows.append((label, str(value).lower() if isinstance(value, bool) else value))
        if member == "Driver":
            rows += [(f" {key}", text) for key, text in found.get("DriverStatus") or ()]
    for kind, drivers in (found.get("Plugins") or {}).items():
        if drivers:
            rows.append((f"{kind} drivers", " ".join(drivers)))
    options = [option.replace("name=", "") for option in found.get("SecurityOptions") or ()]
    if options:
        rows.append(("Security Options", " ".join(options)))
    return [(label, str(value)) for label, value in rows]


def _diagnose(session: Session, args: Arguments) -> None:
    found = session.client.call("GET", "/sampan/diagnosis")["Findings"]
    if args["format"]:
        print(listing.render(args["format"], found))
        return
    width = max(len(row["Name"]) for row in found)
    for row in found:
        print(f"{'ok     ' if row['Good'] else 'lacking'} {row['Name']:<{width}}  {row['Detail']}")
