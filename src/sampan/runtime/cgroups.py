"""Where a container's cgroup is, and the manager for it."""

from __future__ import annotations

import os

from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.linux.cgroup import Manager
    from sampan.spec import oci_runtime


def path_of(config: oci_runtime.Config, container_id: str, override: str = "") -> str:
    path = override or config.linux.cgroups_path or f"/{container_id}"
    if ":" in path:
        raise errors.InvalidConfig(
            f"linux.cgroupsPath: {path!r} is for the systemd driver, which is not built yet"
        )
    if ".." in path.split("/"):
        raise errors.InvalidConfig(f"linux.cgroupsPath: {path!r} leads out of its parent")
    return path if path.startswith("/") else f"/{path}"


def check_unused(manager: Manager) -> None:
    """A cgroup that exists already is taken only if it is empty and not frozen."""
    if not any(map(os.path.isdir, set(manager.paths().values()))):
        return
    where = next(iter(manager.paths().values()))
    if manager.is_frozen():  # the container would stop before it has begun
        raise errors.WrongState(f"container's cgroup unexpectedly frozen: {where}")
    if found := manager.pids():
        raise errors.WrongState(
            f"container's cgroup is not empty: {len(found)} process(es) found in {where}"
        )
