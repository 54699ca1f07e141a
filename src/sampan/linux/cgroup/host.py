"""What this host mounts: the hierarchies of cgroups(7), found once in /proc/self/mountinfo.

A hierarchy has a mount point and the path inside the hierarchy that is visible there (`root`, not
"/" in a container without a cgroup namespace). Mounts that others hide are left out: the device
number behind the mount point tells.
"""

from __future__ import annotations

import os

from sampan.kit.record import Record
from sampan.linux.cgroup import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_OPTIONS = {"rw", "ro", "xattr", "clone_children", "noprefix", "all", "none"}


class Hierarchy(Record):
    mount_point: str
    root: str


class Layout(Record):
    v1: dict[str, Hierarchy]  # controller or "name=…" → where
    unified: Hierarchy | None


_layout: Layout | None = None


def layout() -> Layout:
    """The visible hierarchies, cached; `forget` after changing mount namespaces."""
    global _layout
    if _layout is None:
        _layout = parse(files.read("/proc/self/mountinfo"))
    return _layout


def booted_by_systemd() -> bool:
    """sd_booted(3)"""
    return os.path.isdir("/run/systemd/system")


def forget() -> None:
    global _layout
    _layout = None


def parse(mountinfo: str) -> Layout:
    """proc_pid_mountinfo(5): id parent dev root mount-point … - type source super-options."""
    v1: dict[str, Hierarchy] = {}
    unified = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fstype, _, rest = right.partition(" ")
        if fstype not in ("cgroup", "cgroup2"):
            continue
        device, root, mount_point = left.split(" ")[2:5]
        mount_point = _unescape(mount_point)
        if not visible(mount_point, device):
            continue
        here = Hierarchy(mount_point=mount_point, root=root)
        if fstype == "cgroup2":
            unified = _upper(unified, here)
        else:
            for controller in _controllers(rest.split(" ")[-1]):
                v1[controller] = _upper(v1.get(controller), here)
    return Layout(v1=v1, unified=unified)


def _upper(known: Hierarchy | None, found: Hierarchy) -> Hierarchy:
    """The first mount of a hierarchy, or a later one of it that lies on that very place."""
    return found if known is None or known.mount_point == found.mount_point else known


def own_cgroups(pid: int | str = "self") -> dict[str, str]:
    """proc_pid_cgroup(5): controller (or "name=…"; "" for v2) → path."""
    found = {}
    for line in files.read(f"/proc/{pid}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _controllers(options: str) -> Iterator[str]:
    for option in options.split(","):
        if option not in _OPTIONS and not option.startswith(("release_agent=", "cpuset_")):
            yield option


def visible(mount_point: str, device: str) -> bool:
    """Whether the mount of this device ("0:26") is what is seen there."""
    try:
        number = os.stat(mount_point).st_dev
    except OSError:
        return False
    return f"{os.major(number)}:{os.minor(number)}" == device


def _unescape(path: str) -> str:
    if "\\" not in path:
        return path
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(escape, character)
    return path
