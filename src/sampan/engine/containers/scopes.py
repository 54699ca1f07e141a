"""How systemd is to end a container that is its scope: with the machine, and after the engine.

The engine's own end leaves containers alone, so at a shutdown systemd asks each of them as `stop`
would: its signal, then SIGKILL after its patience. The engine goes first and hears of no end: the
next one starts again whom a restart policy keeps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.engine import cgroups, oci
from sampan.linux.cgroup import host

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container

_FOREVER = (1 << 64) - 1
_PROPERTY = "org.systemd.property."  # how an OCI runtime is told those of a unit


def as_annotations(container: Container) -> dict[str, str]:
    """Those of config.json: the user's, who may want other properties, count."""
    given: dict[str, str] = container.host_config.get("Annotations") or {}
    if container.cgroup_driver != cgroups.SYSTEMD:
        return given
    patience = container.config.get("StopTimeout")
    if patience is None:
        patience = oci.STOP_TIMEOUT
    found = {
        "DefaultDependencies": "true",
        "KillSignal": f"int32 {oci.stop_signal(container.config)}",
        "TimeoutStopUSec": f"uint64 {patience * 1_000_000 if patience >= 0 else _FOREVER}",
    }
    if unit := _own_unit():
        found["Before"] = f"['{unit}']"  # what is before at a start is after at a stop
    return {**{f"{_PROPERTY}{name}": value for name, value in found.items()}, **given}


def _own_unit() -> str:
    """The engine's: a service, or the scope of one that a command has started."""
    path = host.own_cgroups().get("", "")
    unit = path.rpartition("/")[2]
    return unit if unit.endswith((".service", ".scope")) and "'" not in unit else ""
