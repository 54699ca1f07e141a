"""The mounts of a container's config.json: /proc and its like, the user's, the files over /etc."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sampan.engine import security_options
from sampan.engine.containers.mounts import tmpfs
from sampan.kit import errors
from sampan.linux import files as linux_files
from sampan.spec import docker_defaults

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.engine.containers.container import Container

    Mount = dict[str, Any]

_TMPFS = ("noexec", "nosuid", "nodev")


def mounts(
    container: Container,
    files: Iterable[tuple[str, str]],
    *,
    mapped: bool = False,
    shm: str = "",
) -> list[Mount]:
    """In the order they are made: parents before what lies in them. `mapped`: what is ours is shown
    with the owners that the container's user namespace makes of those on the disk. `shm`: instead
    of a /dev/shm of its own."""
    host = container.host_config
    own = ["idmap"] if mapped else []
    fixed = ["ro"] if host.get("ReadonlyRootfs") else []
    by_place: dict[str, Mount] = {}
    theirs = {point["Destination"] for point in container.mounts}
    for mount in _default_mounts(host, shm):
        if "/dev" in theirs and mount["destination"].startswith("/dev/"):
            continue  # a /dev of the user's is theirs with all that is in it, and may be read-only
        by_place[mount["destination"]] = mount
    for source, where in files:
        by_place[where] = _bind(source, where, ["rbind", "rprivate", *own, *fixed])
    for where, options in tmpfs(host).items():
        by_place[where] = _tmpfs(where, options)
    for point in container.mounts:
        if point["Type"] == "image":
            for mount in _image(container, point):
                by_place[mount["destination"]] = {**mount, "options": [*mount["options"], *own]}
        elif point["Type"] != "tmpfs":
            by_place[point["Destination"]] = _point(point)
            if point["Type"] == "volume" and _on_our_disk(container, point):
                by_place[point["Destination"]]["options"] += own
    # Sorting is stable, so /proc before /sys stays; a deeper path comes after its parent.
    return sorted(by_place.values(), key=lambda mount: mount["destination"].count("/"))


def propagation(made: list[Mount]) -> str:
    """What the root must be so that a bind mount can share with the host: a runtime begins with
    slaves of the host's mounts, from which nothing comes back."""
    options = {option for mount in made for option in mount["options"]}
    if options & {"shared", "rshared"}:
        return "shared"
    return "rslave" if options & {"slave", "rslave"} else ""


def _on_our_disk(container: Container, point: dict[str, Any]) -> bool:
    """Not what a volume's `type` and `device` bring from elsewhere, with owners of its own."""
    return "type" not in container.engine.volumes.get(point["Name"]).options


def _default_mounts(host: dict[str, Any], shm: str) -> list[Mount]:
    found = []
    for mount in docker_defaults.MOUNTS:
        mount = {**mount, "options": list(mount["options"])}
        where = mount["destination"]
        if where == "/dev/shm":
            if host.get("IpcMode") == "none":
                continue
            mount = _shm(mount, host, shm)
        elif where == "/dev/mqueue" and host.get("IpcMode") == "host" and os.path.exists(where):
            mount = _bind("/dev/mqueue", where, ["rbind", "rprivate"])
        elif _may_write(host, where):
            mount["options"] = ["rw" if o == "ro" else o for o in mount["options"]]
        if where == "/sys" and _shares_network(host):
            # sysfs shows a network namespace and can be mounted only by its owner
            mount = _bind("/sys", where, ["rbind", "nosuid", "noexec", "nodev"])
            mount["options"].append("rw" if host.get("Privileged") else "ro")
        found.append(mount)
    return found


def _may_write(host: dict[str, Any], where: str) -> bool:
    if where == "/sys/fs/cgroup" and security_options.writable_cgroups(host):
        return True
    return bool(host.get("Privileged")) and where in ("/sys", "/sys/fs/cgroup")


def _shares_network(host: dict[str, Any]) -> bool:
    return False  # root may mount sysfs for any namespace it is in; rootless will say otherwise


def _shm(mount: Mount, host: dict[str, Any], theirs: str) -> Mount:
    if theirs or host.get("IpcMode") == "host":
        return _bind(theirs or "/dev/shm", "/dev/shm", ["rbind", "rprivate"])
    options = [o for o in mount["options"] if not o.startswith("size=")]
    return {**mount, "options": [*options, f"size={host.get('ShmSize') or 64 << 20}"]}


def _bind(source: str, where: str, options: list[str]) -> Mount:
    return {"destination": where, "type": "bind", "source": source, "options": options}


def _tmpfs(where: str, options: list[str]) -> Mount:
    given = {option.partition("=")[0] for option in options}
    defaults = [o for o in _TMPFS if o not in given and o.removeprefix("no") not in given]
    return {
        "destination": where,
        "type": "tmpfs",
        "source": "tmpfs",
        "options": [*defaults, *options],
    }


def _point(point: dict[str, Any]) -> Mount:
    """A bind or volume that is read-only is so with all that is mounted below it, unless the user
    said otherwise (Docker 25; mount_setattr(2))."""
    source = point["Source"]
    recursive = point.get("_recursive", True)
    options = ["rbind" if recursive else "bind"]
    if not point["RW"]:
        options.append("rro" if recursive and not point.get("_writable_below") else "ro")
    options.append(point.get("Propagation") or "rprivate")
    if point["Type"] == "bind":
        source = os.path.realpath(source)
    if subpath := point.get("_subpath"):
        source = _below(source, subpath)
    return _bind(source, point["Destination"], options)


def _below(top: str, subpath: str) -> str:
    """A directory or file of a volume, where its links lead to, as long as they stay in there."""
    inside = linux_files.RESOLVE.BENEATH
    fd = os.open(top, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = linux_files.openat2(fd, subpath, os.O_PATH | os.O_CLOEXEC, resolve=inside)
        try:
            return os.readlink(f"/proc/self/fd/{found}")
        finally:
            os.close(found)
    except OSError as error:
        raise errors.InvalidArgument(
            f"cannot mount subpath {subpath} of {top}: {(error.strerror or str(error)).lower()}"
        ) from error
    finally:
        os.close(fd)


def _image(container: Container, point: dict[str, Any]) -> list[Mount]:
    """An image's files, read-only, as its snapshot says."""
    return [
        {
            "destination": (point["Destination"] + mount.destination).rstrip("/"),
            "type": mount.type,
            "source": mount.source,
            "options": [*mount.options, *([] if "ro" in mount.options else ["ro"])],
        }
        for mount in container.engine.snapshots.view(point["_chain_id"])
    ]
