"""`--expose`: `80`, `80/udp`, `8000-8010/tcp`."""

from __future__ import annotations

from sampan.cli.parse import ports


def parse(text: str) -> list[str]:
    """The ports as the API names them, `80/tcp`."""
    if ":" in text:
        raise ValueError(f"invalid port format for --expose: {text}")
    numbers, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in ports.PROTOCOLS:
        raise ValueError(f"invalid proto: {protocol}")
    first, last = ports.port_range(numbers, "range format for --expose")
    return [f"{port}/{protocol}" for port in range(first, last + 1)]
