"""Which containers' PID 1 can be cloned before anybody has read their config.json (`direct`).

What only a process outside can do for it makes a container not eligible: ids to map, hooks on the
host, sources to open, devices to move, an agent to call. The engine decides, and says it with the
cgroup to clone into in a message before the request itself.
"""

from __future__ import annotations

import string

from sampan.runtime import cgroups, mount_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.shim.protocol import Message, Start

_PLAIN = frozenset(string.ascii_letters + string.digits + "/_.-")


def cgroup(request: Start) -> str:
    """Its cgroup's path where it is eligible, else ""."""
    linux = request.config.get("linux") or {}
    resources = linux.get("resources") or {}
    mounts = (*request.rootfs, *(request.config.get("mounts") or ()))
    ok = (
        not (request.runtime or request.restore)
        and is_plain(request.cgroup)
        and not request.config.get("hooks")
        and not (linux.get("netDevices") or linux.get("intelRdt"))
        and {"type": "pid"} in linux.get("namespaces", ())
        and all(item["type"] != "user" for item in linux["namespaces"])
        and not any(map(_is_opened_outside, mounts))
        and not is_tight((resources.get("memory") or {}).get("limit") or 0)
        and not resources.get("unified")
        and not _has_agent(linux.get("seccomp") or {})
    )
    return request.cgroup if ok else ""


def _is_opened_outside(mount: Message) -> bool:
    options = mount.get("options") or ()
    maps_ids = bool(mount.get("uidMappings")) or "idmap" in options or "ridmap" in options
    return maps_ids or mount_plan.holder(mount.get("source") or "") > 0


def is_plain(cgroup: str) -> bool:
    """A path, no unit of systemd's, that stands in JSON as it is."""
    return cgroup.startswith("/") and _PLAIN.issuperset(cgroup)


def is_tight(memory: int) -> bool:
    """A limit in bytes (0: none) below what PID 1 needs to get ready."""
    return 0 < memory < cgroups.TIGHT


def _has_agent(filters: Message) -> bool:
    """One is asked about single system calls."""
    actions = [entry.get("action") for entry in filters.get("syscalls") or ()]
    metadata = filters.get("listenerMetadata") or filters.get("listenerPath")
    return bool(metadata) or "SCMP_ACT_NOTIFY" in (filters.get("defaultAction"), *actions)
