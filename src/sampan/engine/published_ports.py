"""A container's published ports: what it asks for, what is reserved, what the rows say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.engine import units
from sampan.kit import errors
from sampan.network import ports
from sampan.network.publish import Binding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.engine.containers.container import Container


def wanted(config: dict[str, Any], host: dict[str, Any]) -> dict[str, list[tuple[str, int, int]]]:
    """`80/tcp` → (host address, first port, last port) of each binding; port 0: any."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    for spec, bindings in (host.get("PortBindings") or {}).items():
        port, protocol = units.port(spec)
        for binding in bindings or [{}]:
            first, last = _range(binding.get("HostPort") or "")
            entry = (binding.get("HostIp") or "", first, last)
            found.setdefault(f"{port}/{protocol}", []).append(entry)
    if host.get("PublishAllPorts"):
        for spec in config.get("ExposedPorts") or ():
            port, protocol = units.port(spec)
            found.setdefault(f"{port}/{protocol}", [("", 0, 0)])
    return found


def _range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not text:
        return 0, 0
    if not first.isdecimal() or (dash and not last.isdecimal()) or int(last or first) > 65535:
        raise errors.InvalidArgument(f'invalid port specification: "{text}"')
    return int(first), int(last or first)


def reserve(container: Container, bind_address: str) -> Iterator[tuple[ports.Reservation, int]]:
    """Each published port, bound; and its row. `bind_address`: where those without one go."""
    for spec, bindings in wanted(container.config, container.host_config).items():
        port, protocol = units.port(spec)
        for host_ip, first, last in bindings:
            host_ip = host_ip or bind_address
            host_ip = "" if host_ip == "0.0.0.0" and not bind_address else host_ip
            reservation = ports.reserve(host_ip, first, protocol, last=last)
            yield reservation, port
            container.engine.db.execute(
                "insert or ignore into ports values (?, ?, ?, ?, ?)",
                (container.id, protocol, port, host_ip, reservation.port),
            )


def of(container: Container) -> list[Binding]:
    """What a running container holds, from the rows."""
    rows = container.engine.db.rows("select * from ports where container_id = ?", (container.id,))
    return [
        Binding(
            host_ip=row["host_ip"],
            host_port=row["host_port"],
            container_port=row["container_port"],
            protocol=row["protocol"],
        )
        for row in rows
    ]
