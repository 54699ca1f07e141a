"""User-namespace remap: root of a container is nobody on the host (`userns-remap`).

    remap = find(settings["userns-remap"])     Remap(user, uids, gids) or None
    of(container)                              the same, unless the container says --userns=host

On the disk everything keeps the owners that the container sees: layers, volumes and the files over
/etc are shown through mapped mounts (mount_setattr(2)). So images and volumes are shared by
containers with and without the remap, and nothing has to be copied or chowned. A directory of the
host that is bind-mounted is not mapped: there a container's root is nobody, which is the point.

The ranges are those of subuid(5) and subgid(5); several of one user follow each other.
"""

from __future__ import annotations

import grp
import pwd
from typing import TYPE_CHECKING, Any

from sampan.kit import errors
from sampan.kit.record import Record

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container

DEFAULT_USERS = ("sampan", "dockremap")  # whose ranges `default` takes: the first that has any

Mappings = list[dict[str, int]]  # as config.json has them


class Remap(Record):
    user: str
    uids: tuple[tuple[int, int], ...]  # (first on the host, how many)
    gids: tuple[tuple[int, int], ...]

    def uid_mappings(self) -> Mappings:
        return _mappings(self.uids)

    def gid_mappings(self) -> Mappings:
        return _mappings(self.gids)


def find(setting: str) -> Remap | None:
    """`default`, or `USER[:GROUP]` by name or number; InvalidArgument where it has no range."""
    if not setting:
        return None
    if setting == "default":
        user = next((u for u in DEFAULT_USERS if _ranges("/etc/subuid", (u,))), DEFAULT_USERS[0])
        group = user
    else:
        user, _, group = setting.partition(":")
        group = group or user
    uids = _ranges("/etc/subuid", _names_of_user(user))
    gids = _ranges("/etc/subgid", _names_of_group(group))
    for found, path, name in ((uids, "/etc/subuid", user), (gids, "/etc/subgid", group)):
        if not found:
            raise errors.InvalidArgument(
                f"userns-remap: {path} has no range for {name} (a line such as {name}:100000:65536)"
            )
    return Remap(user=user, uids=uids, gids=gids)


def of(container: Container) -> Remap | None:
    mode = container.host_config.get("UsernsMode")
    return None if mode == "host" else container.engine.remap


def check(remap: Remap | None, host: dict[str, Any], *, own_runtime: bool) -> None:
    """What cannot be had together, as dockerd refuses it."""
    mode = host.get("UsernsMode") or ""
    if mode not in ("", "host"):
        raise errors.InvalidArgument(f"invalid USER mode: {mode}")
    if remap is None or mode == "host":
        return
    if host.get("Privileged"):
        raise errors.InvalidArgument(
            "privileged mode is incompatible with user namespaces.  You must run the container in "
            "the host namespace when running privileged mode"
        )
    for key, what in (("NetworkMode", "network"), ("PidMode", "PID")):
        if host.get(key) == "host":
            raise errors.InvalidArgument(
                f"cannot share the host's {what} namespace when user namespaces are enabled"
            )
    if not own_runtime:
        raise errors.Unsupported(
            f"runtime {host['Runtime']} cannot be used with userns-remap: add --userns=host"
        )


def _mappings(ranges: tuple[tuple[int, int], ...]) -> Mappings:
    found, inside = [], 0
    for first, count in ranges:
        found.append({"containerID": inside, "hostID": first, "size": count})
        inside += count
    return found


def _names_of_user(user: str) -> tuple[str, ...]:
    """As subuid(5) may write it: by name or by number."""
    try:
        entry = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        return (user,)
    return entry.pw_name, str(entry.pw_uid)


def _names_of_group(group: str) -> tuple[str, ...]:
    try:
        entry = grp.getgrgid(int(group)) if group.isdecimal() else grp.getgrnam(group)
    except KeyError:
        return (group,)
    return entry.gr_name, str(entry.gr_gid)


def _ranges(path: str, names: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    found = []
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                name, _, numbers = line.strip().partition(":")
                first, _, count = numbers.partition(":")
                if name in names and first.isdecimal() and count.isdecimal():
                    found.append((int(first), int(count)))
    except FileNotFoundError:
        pass
    return tuple(found)
