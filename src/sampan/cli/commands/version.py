"""`sampan version`: of the program and of the engine."""

from __future__ import annotations

import os
import sys

from sampan import __version__
from sampan.cli import listing
from sampan.cli.common_options import INSPECT_FORMAT
from sampan.cli.options import Command
from sampan.client import api
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="version",
    summary="Show the versions of the program and of the engine",
    at_most=0,
    options=(INSPECT_FORMAT,),
)


def run(session: Session, args: Arguments) -> int:
    found: dict[str, Any] = {"Client": _client(session), "Server": None}
    failure = None
    try:
        found["Server"] = session.client.call("GET", "/version")
        found["Client"]["ApiVersion"] = session.client.version
    except errors.SampanError as error:
        failure = error
    if args["format"]:
        print(listing.render(args["format"], found))
    else:
        sys.stdout.write(_text(found))
    if failure is not None:
        sys.stdout.flush()
        print(failure, file=sys.stderr)
        return 1
    return 0


def _client(session: Session) -> dict[str, Any]:
    uname = os.uname()
    return {
        "Version": __version__,
        "ApiVersion": api.API_VERSION,
        "DefaultAPIVersion": api.API_VERSION,
        "Os": uname.sysname.lower(),
        "Arch": {"x86_64": "amd64", "aarch64": "arm64"}.get(uname.machine, uname.machine),
        "PythonVersion": sys.version.split()[0],
        "Host": session.address,
    }


def _text(found: dict[str, Any]) -> str:
    client, server = found["Client"], found["Server"]
    lines = [
        "Client: Sampan",
        f" Version:           {client['Version']}",
        f" API version:       {client['ApiVersion']}",
        f" Python version:    {client['PythonVersion']}",
        f" OS/Arch:           {client['Os']}/{client['Arch']}",
    ]
    if server:
        platform = (server.get("Platform") or {}).get("Name") or "Engine"
        lines += ["", f"Server: {platform}"]
        for part in server.get("Components") or [{**server, "Name": "Engine"}]:
            lines.append(f" {part['Name']}:")
            rows = [("Version", part.get("Version", "")), *_details(part)]
            lines += [f"  {key + ':':<18}{value}" for key, value in rows if value]
    return "\n".join(lines) + "\n"


def _details(part: dict[str, Any]) -> list[tuple[str, str]]:
    details = part.get("Details") or {}
    api_version = details.get("ApiVersion", "")
    if api_version and details.get("MinAPIVersion"):
        api_version += f" (minimum version {details['MinAPIVersion']})"
    rows = [
        ("API version", api_version),
        ("Go version", details.get("GoVersion", "")),
        ("Python version", details.get("PythonVersion", "")),
        ("Git commit", details.get("GitCommit", "")),
        ("Built", details.get("BuildTime", "")),
    ]
    if details.get("Os"):
        rows.append(("OS/Arch", f"{details['Os']}/{details.get('Arch', '')}"))
    return rows
