"""What HostConfig asks of cgroups and this host's have not: left out with a warning."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sampan.engine import cgroups
from sampan.linux import cgroup

if TYPE_CHECKING:
    from sampan.engine.engine import Engine

_OF_V1 = (  # key, the value that asks for nothing, its name
    ("MemorySwappiness", -1, "memory swappiness"),
    ("OomKillDisable", False, "disabling the out-of-memory killer"),
)
_MEMORY = ("memory.limit_in_bytes", "memory.max")  # v1's and v2's file
_SWAP = ("memory.memsw.limit_in_bytes", "memory.swap.max")


def leave_out(engine: Engine, host: dict[str, Any]) -> list[str]:
    """Changes `host`; a sentence for each. Blocking, but no more than looking for a file."""
    warnings = []
    for key, nothing, name in _OF_V1:
        if cgroup.unified() and host.get(key) not in (None, nothing):
            host[key] = None
            warnings.append(f"{name} exists only on cgroup v1 and is left out on this host")
    if host.get("Memory") and host.get("MemorySwap") != -1 and not limits_swap(engine):
        host["MemorySwap"] = -1
        warnings.append("this kernel does not count swap: memory is limited without it")
    return warnings


def limits_swap(engine: Engine) -> bool:
    """Before Linux 6.1 that could be off, and was on some distributions."""
    return has_swap_limit(cgroups.parent(engine).paths())


def has_swap_limit(paths: dict[str, str]) -> bool:
    """`paths` as `cgroup.Manager.paths` has them. Where the memory controller itself is missing,
    a limit is refused anyway, with its own sentence."""
    directory = paths.get("memory") or paths.get("", "")
    has = set(os.listdir(directory))
    return has.isdisjoint(_MEMORY) or not has.isdisjoint(_SWAP)
