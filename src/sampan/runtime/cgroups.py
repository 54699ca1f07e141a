"""Where a container's cgroup is, and the manager for it."""

from __future__ import annotations

import os

from sampan.linux import cgroup
from sampan.linux.cgroup import base
from sampan.linux.mount import MS
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup import Manager
    from sampan.runtime.plan import Plan
    from sampan.spec import oci_runtime


def path_of(
    config: oci_runtime.Config, container_id: str, override: str = "", *, systemd: bool = False
) -> str:
    """What `linux.cgroup.manager` takes: a path, or a unit's name with systemd's driver."""
    path = override or config.linux.cgroups_path
    check_path(path)
    if systemd:
        if path and path.count(":") != 2:
            raise errors.InvalidConfig(
                f"linux.cgroupsPath: expected slice:prefix:name for systemd, not {path!r}"
            )
        return path or f"{'user' if os.geteuid() else 'system'}.slice:sampan:{container_id}"
    if override.count(":") == 2:  # decided before
        return override
    if not path and os.geteuid():
        from sampan.runtime import rootless

        path = rootless.delegated(container_id)
    path = path or f"/{container_id}"
    if ":" in path:
        raise errors.InvalidConfig(
            f"linux.cgroupsPath: {path!r} is for the systemd driver: give --systemd-cgroup"
        )
    return path if path.startswith("/") else f"/{path}"


def check_path(path: str) -> None:
    if "\0" in path:
        raise errors.InvalidConfig(f"linux.cgroupsPath: {path!r} contains a null byte")
    if ".." in path.split("/"):
        raise errors.InvalidConfig(f"linux.cgroupsPath: {path!r} leads out of its parent")


def manager(config: oci_runtime.Config, path: str) -> Manager:
    """For a container to be made: a unit begins with its limits, and the properties its annotations
    ask for."""
    if ":" not in path:
        return cgroup.manager(path)
    from sampan.linux.cgroup import systemd, unit_properties

    limits = unit_properties.of(config.linux.resources)
    asked = unit_properties.from_annotations(config.annotations)
    return systemd.manager(path, {**dict(limits), **asked})


def none(why: str) -> Manager:
    """That of a container without a cgroup: it refuses what needs one, and says `why`."""
    from sampan.runtime.no_cgroup import NoCgroup

    return NoCgroup(why)


def delegate(manager: Manager, config: oci_runtime.Config, plan: Plan) -> None:
    """Ownership as config-linux.md has it: v2, a cgroup namespace, and the cgroup shown writable.

    Its owner is then whom the process's user is on the host.
    """
    paths = manager.paths()
    shown = any(
        item.type in ("cgroup", "cgroup2") and not item.options.flags & MS.RDONLY
        for item in plan.mounts
    )
    if os.geteuid() or not shown or set(paths) != {""}:
        return
    uid = plan.process.uid
    for item in config.linux.uid_mappings:
        if item.container_id <= uid < item.container_id + item.size:
            uid += item.host_id - item.container_id
            break
    from sampan.linux.cgroup import delegate

    delegate.to(paths[""], uid)


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


def first_door(manager: Manager) -> int:
    """The directory of the unified tree, made, for the clone of a process that joins the rest by
    itself; -1 where there is no such tree."""
    paths = manager.paths()
    directory = paths.get("")
    if not directory:
        return -1
    if len(paths) == 1:
        manager.create()  # with its controllers
    else:
        base.make(directory)
    return os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


TIGHT = 4 << 20  # bytes of memory: a limit below that PID 1 may need more to get ready


def open_doors(
    manager: Manager, resources: dict[str, Any], *, copies: bool
) -> tuple[list[int], list[int], int]:
    """Descriptors by which PID 1 comes into its cgroups: (at first, late, at its clone or -1).

    The first two take a "0" from it, the last is the directory of the unified tree, for clone3.
    Moving another process takes a lock that waits for all CPUs (percpu_down_write, 10 to 20 ms when
    it is cold); a thread that moves itself by v1's `tasks`, and a clone into a cgroup, need none.

    The memory cgroup comes late: what PID 1 needs to make its mounts is not the container's, and
    may be more than its limit. On v2 that takes the lock, so only where the limit is tight. Where
    files of the image are copied it does not come late: their size is the image's choice.
    """
    early: list[int] = []
    late: list[int] = []
    unified = -1
    for controller, directory in manager.paths().items():
        if controller:
            found = late if controller == "memory" and not copies else early
            found.append(os.open(f"{directory}/tasks", os.O_WRONLY | os.O_CLOEXEC))
        elif directory and not copies and _is_tight(resources):
            late.append(os.open(f"{directory}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC))
        elif directory:
            unified = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return early, late, unified


def _is_tight(resources: dict[str, Any]) -> bool:
    limits = [str((resources.get("memory") or {}).get("limit"))]
    limits.append(str((resources.get("unified") or {}).get("memory.max")))
    return any(limit.isdecimal() and 0 < int(limit) < TIGHT for limit in limits)
