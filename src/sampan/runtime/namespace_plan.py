"""Which namespaces are made and which joined, and what sysctls are then the container's own."""

from __future__ import annotations

import fcntl
import os

from sampan.linux import namespaces
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.spec import oci_runtime

NS_GET_NSTYPE = 0xB703  # ioctl_nsfs(2)


def make(linux: oci_runtime.Linux) -> tuple[int, tuple[tuple[str, int], ...]]:
    """(flags of the new ones, (name, descriptor) of those to join); opens the paths."""
    new, joined, seen = 0, [], set()
    for item in linux.namespaces:
        flag = namespaces.FLAGS.get(item.type)
        if flag is None:
            raise errors.InvalidConfig(f"linux.namespaces: {item.type!r} is no namespace")
        if item.type in seen:
            raise errors.InvalidConfig(f"linux.namespaces: {item.type} is there twice")
        seen.add(item.type)
        if item.path:
            joined.append((item.type, _open_namespace(item.type, item.path, flag)))
        else:
            new |= flag
    order = list(namespaces.FLAGS)
    return new, tuple(sorted(joined, key=lambda pair: order.index(pair[0])))


def _open_namespace(kind: str, path: str, flag: int) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise errors.InvalidConfig(
            f"linux.namespaces: {kind} path {path}: {errors.reason(error)}"
        ) from error
    try:
        found = fcntl.ioctl(fd, NS_GET_NSTYPE)
    except OSError:
        found = 0
    if found != flag:
        os.close(fd)
        raise errors.InvalidConfig(f"linux.namespaces: {path} is no {kind} namespace")
    return fd


_IPC_SYSCTLS = frozenset(
    "kernel." + name for name in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni")
) | {"kernel.shm_rmid_forced"}


def _is_host_s(item: oci_runtime.Namespace) -> bool:
    """Whether a namespace that is joined by path is the one we are in ourselves."""
    try:
        own = f"/proc/self/ns/{namespaces.FILES[item.type]}"
        return os.path.samestat(os.stat(item.path), os.stat(own))
    except OSError:
        return False


def sysctl(settings: dict[str, str], linux: oci_runtime.Linux) -> tuple[tuple[str, str], ...]:
    """What belongs to a namespace of the container's own may be set; the rest is the host's."""
    kinds = {item.type for item in linux.namespaces if not (item.path and _is_host_s(item))}
    plan = []
    for name, value in settings.items():
        dotted = name.replace("/", ".") if "/" in name.partition(".")[0] else name
        if dotted in _IPC_SYSCTLS or dotted.startswith("fs.mqueue."):
            needed = "ipc"
        elif dotted.startswith("net."):
            needed = "network"
        elif dotted == "kernel.domainname":
            needed = "uts"
        elif dotted == "kernel.hostname":
            raise errors.InvalidConfig("sysctl kernel.hostname: use the field hostname")
        elif dotted.startswith("user."):
            needed = "user"
        else:
            raise errors.InvalidConfig(f"sysctl {name} would change the whole host")
        if needed not in kinds:
            raise errors.InvalidConfig(f"sysctl {name} needs a {needed} namespace of the container")
        path = dotted.replace(".", "/")
        if ".." in path.split("/"):
            raise errors.InvalidConfig(f"sysctl {name} is no name of a setting")
        plan.append((path, value))
    return tuple(plan)
