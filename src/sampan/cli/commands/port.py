"""`sampan port`: where a container's ports are published."""

from __future__ import annotations

import sys

from sampan.cli import shown_ports
from sampan.cli.options import Command
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

COMMAND = Command(
    name="port",
    aliases=("container port",),
    summary="Show where a container's ports are published",
    operands="CONTAINER [PORT[/PROTOCOL]]",
    at_least=1,
    at_most=2,
    completes="running",
)


def run(session: Session, args: Arguments) -> None:
    name = args.operands[0]
    found = session.client.call("GET", f"/containers/{name}/json")
    ports = found["NetworkSettings"].get("Ports") or {}
    if len(args.operands) == 1:
        lines = [f"{port} -> {where}" for port in ports for where in _hosts(ports[port])]
        sys.stdout.write("".join(f"{line}\n" for line in sorted(lines, key=_order)))
        return
    wanted, _, protocol = args.operands[1].partition("/")
    if not wanted.isdecimal():
        raise args.fail(f"Error: invalid port ({wanted})", code=1)
    bindings = ports.get(f"{wanted}/{protocol or 'tcp'}")
    if not bindings:
        raise errors.NotFound(f"Error: No public port '{args.operands[1]}' published for {name}")
    print("\n".join(_hosts(bindings)))


def _hosts(bindings: list[dict[str, str]] | None) -> list[str]:
    return [shown_ports.join(b.get("HostIp", ""), b["HostPort"]) for b in bindings or ()]


def _order(line: str) -> tuple[int, str]:
    return int(line.partition("/")[0]), line
