"""What HostConfig asks of cgroups and this host's have not: left out with a warning."""

from __future__ import annotations

from typing import Any

from sampan.linux import cgroup

_OF_V1 = (  # key, the value that asks for nothing, its name
    ("MemorySwappiness", -1, "memory swappiness"),
    ("OomKillDisable", False, "disabling the out-of-memory killer"),
)


def leave_out(host: dict[str, Any]) -> list[str]:
    """Changes `host`; a sentence for each."""
    warnings = []
    for key, nothing, name in _OF_V1:
        if cgroup.unified() and host.get(key) not in (None, nothing):
            host[key] = None
            warnings.append(f"{name} exists only on cgroup v1 and is left out on this host")
    return warnings
