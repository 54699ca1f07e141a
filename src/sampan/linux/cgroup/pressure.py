"""Pressure stall information of a cgroup v2 (kernel: accounting/psi.rst)."""

from __future__ import annotations

from sampan.linux.cgroup import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read(directory: str) -> dict[str, dict[str, Any]]:
    """{"cpu" | "memory" | "io": {"some" | "full": {avg10, avg60, avg300, total (µs)}}}.

    Empty where there is no unified tree, or the kernel has PSI switched off (EOPNOTSUPP).
    """
    found = {}
    for resource in ("cpu", "memory", "io") if directory else ():
        try:
            found[resource] = parse(files.read(f"{directory}/{resource}.pressure"))
        except OSError:
            continue
    return found


def parse(text: str) -> dict[str, Any]:
    """`some avg10=0.00 avg60=0.00 avg300=0.00 total=0` lines."""
    parsed = {}
    for line in text.splitlines():
        kind, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs)
        parsed[kind] = {k: int(v) if k == "total" else float(v) for k, v in values.items()}
    return parsed
