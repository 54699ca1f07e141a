"""What a new container's user should know of what was left out: `Warnings` of the create."""

from __future__ import annotations

from typing import Any


def of(host: dict[str, Any]) -> list[str]:
    """In Docker's words."""
    found = []
    if host.get("NetworkMode") == "host" and host.get("PortBindings"):
        found.append("Published ports are discarded when using host network mode")
    return found
