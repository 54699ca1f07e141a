"""Where a container's cgroup is, and the manager for it."""

from __future__ import annotations

from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
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
