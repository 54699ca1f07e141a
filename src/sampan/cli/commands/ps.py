"""`sampan ps`: the containers."""

from __future__ import annotations

from sampan.cli import listing, shown_ports, units
from sampan.cli.common_options import FILTER, FORMAT, NO_TRUNC
from sampan.cli.options import Command, option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

    Container = dict[str, Any]

COMMAND = Command(
    name="ps",
    aliases=("container ls", "container list", "container ps"),
    summary="List containers",
    at_most=0,
    options=(
        option("-a --all", "bool", "Show those that do not run, too"),
        FILTER,
        FORMAT,
        option("-n --last", "int", "Show the last n that were created", default=-1),
        option("-l --latest", "bool", "Show the one created last"),
        NO_TRUNC,
        option("-q --quiet", "bool", "Show IDs alone"),
        option("-s --size", "bool", "Show how much disk they use"),
    ),
)
DEFAULT = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")


def run(session: Session, args: Arguments) -> None:
    format_ = args["format"]
    if not format_ and not args["quiet"]:
        format_ = session.config.get("psFormat", "")
    last = 1 if args["latest"] else args["last"]
    query = {
        "all": args["all"] or None,
        "limit": last if last > 0 else None,
        "size": args["size"] or ".Size" in format_ or None,
        "filters": listing.filters(args["filter"]),
    }
    containers = session.client.call("GET", "/containers/json", query) or []
    whole = args["no-trunc"]
    if args["quiet"] and not args["format"]:
        for container in containers:
            print(container["Id"] if whole else listing.short_id(container["Id"]))
        return
    columns = (*DEFAULT, "Size") if args["size"] else DEFAULT
    listing.show(containers, fields(whole), columns, format_)


def fields(whole: bool) -> dict[str, tuple[str, Callable[[Container], Any]]]:
    """The columns; `whole`: nothing is cut short."""
    return {
        "ID": ("CONTAINER ID", lambda c: c["Id"] if whole else listing.short_id(c["Id"])),
        "Names": ("NAMES", lambda c: names(c, whole)),
        "Image": ("IMAGE", lambda c: _image(c, whole)),
        "Command": ("COMMAND", lambda c: _command(c.get("Command") or "", whole)),
        "CreatedAt": ("CREATED AT", lambda c: units.go_time(c["Created"])),
        "RunningFor": ("CREATED", lambda c: units.ago(c["Created"])),
        "Ports": ("PORTS", lambda c: shown_ports.show(c.get("Ports"))),
        "State": ("STATE", lambda c: c.get("State", "")),
        "Status": ("STATUS", lambda c: c.get("Status", "")),
        "Size": ("SIZE", size),
        "Labels": ("LABELS", lambda c: labels(c.get("Labels"))),
        "Label": ("", lambda c: lambda name: (c.get("Labels") or {}).get(name, "")),
        "Mounts": ("MOUNTS", lambda c: _mounts(c, whole)),
        "LocalVolumes": ("LOCAL VOLUMES", _local_volumes),
        "Networks": ("NETWORKS", _networks),
        "Platform": ("PLATFORM", lambda c: c.get("Platform")),
    }


def names(container: Container, whole: bool = False) -> str:
    """Names without their slash; those given by links only when nothing is cut short."""
    found = [str(name).removeprefix("/") for name in container.get("Names") or ()]
    return ",".join(name for name in found if whole or "/" not in name)


def labels(found: dict[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((found or {}).items()))


def size(container: Container) -> str:
    own = units.size(container.get("SizeRw") or 0, 3)
    whole = container.get("SizeRootFs") or 0
    return f"{own} (virtual {units.size(whole, 3)})" if whole > 0 else own


def _image(container: Container, whole: bool) -> str:
    image = container.get("Image") or "<no image>"
    if whole:
        return str(image)
    short = listing.short_id(container.get("ImageID") or "")
    if short and short == listing.short_id(image):
        return short
    name, at, _ = image.partition("@")
    return name if at and ":" in name.rpartition("/")[2] else image


def _command(command: str, whole: bool) -> str:
    escaped = command if whole else listing.ellipsis(command, 20)
    for character, spelled in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t")):
        escaped = escaped.replace(character, spelled)
    return f'"{escaped}"'


def _mounts(container: Container, whole: bool) -> str:
    found = [m.get("Name") or m.get("Source") or "" for m in container.get("Mounts") or ()]
    return ",".join(name if whole else listing.ellipsis(name, 15) for name in found)


def _local_volumes(container: Container) -> str:
    return str(sum(m.get("Driver") == "local" for m in container.get("Mounts") or ()))


def _networks(container: Container) -> str:
    return ",".join((container.get("NetworkSettings") or {}).get("Networks") or {})
