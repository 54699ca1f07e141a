"""A mount of type `cgroup`: /sys/fs/cgroup inside a container, on v1, v2 and hybrid hosts.

With a cgroup namespace each hierarchy is mounted anew and shows the container's own part as its
root; without one that part is bound from the host's mount (cgroup_namespaces(7)).
"""

from __future__ import annotations

import os

from sampan.linux import files, mount
from sampan.linux.cgroup import host
from sampan.linux.mount import MOUNT_ATTR, MS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.enter import LateCgroups
    from sampan.runtime.options import MountOptions

_SAFE = MS.NOSUID | MS.NODEV | MS.NOEXEC


def mount_all(
    place: int, chosen: MountOptions, cgroups: LateCgroups, *, own_namespace: bool
) -> None:
    """Mount every hierarchy of the host below the directory `place` (or cgroup2 on it)."""
    if own_namespace:
        cgroups.join()
    hosts = _hierarchies(cgroups.directories())
    readonly = bool(chosen.flags & MS.RDONLY)
    if len(hosts) == 1 and hosts[0][1] == "cgroup2":
        _mount_one(place, hosts[0], chosen.flags, own_namespace)
        return
    path = files.magic(place)
    mount.mount("tmpfs", path, "tmpfs", _SAFE, "mode=755")
    top = mount.top(place)
    for hierarchy in hosts:
        name = os.path.basename(hierarchy[0])
        os.mkdir(name, 0o755, dir_fd=top)
        child = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=top)
        _mount_one(child, hierarchy, _SAFE | chosen.flags & MS.RDONLY, own_namespace)
        os.close(child)
        for controller in hierarchy[2]:
            if controller != name and not controller.startswith("name="):
                os.symlink(name, controller, dir_fd=top)
    if readonly:
        mount.set_attributes(top, MOUNT_ATTR.RDONLY)
    os.close(top)


def _mount_one(
    place: int, hierarchy: tuple[str, str, tuple[str, ...], str], flags: int, own_namespace: bool
) -> None:
    mountpoint, fstype, controllers, own_path = hierarchy
    if own_namespace:
        data = ",".join(controllers) if fstype == "cgroup" else ""
        if data.startswith("name="):
            data = f"none,{data}"
        mount.mount(fstype, files.magic(place), fstype, flags, data)
        return
    attributes = MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC
    if flags & MS.RDONLY:
        attributes |= MOUNT_ATTR.RDONLY
    own = mountpoint + own_path.rstrip("/")
    os.close(mount.bind(own, place, prepare=lambda tree: mount.set_attributes(tree, attributes)))


def _hierarchies(late: list[str]) -> list[tuple[str, str, tuple[str, ...], str]]:
    """(mount point, fstype, controllers, this process's path in it) of each cgroup mount.

    In one whose directory is in `late` it will be.
    """
    own = {}
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            own[controllers] = path
    found, seen = [], set()
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            fstype, _, options = after.split(None, 2)
            if fstype not in ("cgroup", "cgroup2"):
                continue
            _, _, device, _, place = before.split()[:5]
            if not host.visible(place, device):
                continue
            names = set(options.strip().split(","))
            key = next((k for k in own if k and set(k.split(",")) <= names), "")
            if fstype == "cgroup2":
                key = ""
            if key in own and key not in seen:
                seen.add(key)
                path = next((d[len(place) :] for d in late if d.startswith(f"{place}/")), own[key])
                found.append((place, fstype, tuple(filter(None, key.split(","))), path))
    return found
