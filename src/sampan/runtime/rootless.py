"""What is different for a user who is not root: id maps, cgroups, and what has to be refused.

Such a container needs a user namespace. One mapping of the caller's own id may be written by the
kernel's rules (user_namespaces(7)); any other goes through newuidmap(1) and newgidmap(1), which
look into /etc/subuid and /etc/subgid. A cgroup is taken where one was delegated, else none.
"""

from __future__ import annotations

import os

from sampan.linux import namespaces
from sampan.linux.cgroup import host
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.mount_plan import Triples
    from sampan.spec import oci_runtime


def check(config: oci_runtime.Config) -> None:
    """Raise InvalidConfig for what a user who is not root cannot have."""
    linux = config.linux
    users = next((item for item in linux.namespaces if item.type == "user"), None)
    if users is None:
        raise errors.InvalidConfig(
            "linux.namespaces: rootless containers need a user namespace (`spec --rootless`)"
        )
    if users.path:
        return
    for kind, mappings in (("uid", linux.uid_mappings), ("gid", linux.gid_mappings)):
        if not mappings:
            raise errors.InvalidConfig(
                f"linux.{kind}Mappings: rootless containers need at least one mapping"
            )
        for mount in config.mounts:
            for option in mount.options:
                _check_owner(mount.destination, option, kind, mappings)
    groups = config.process.user.additional_gids if config.process else ()
    if groups and len(linux.gid_mappings) == 1 and linux.gid_mappings[0].size == 1:
        raise errors.InvalidConfig(
            "process.user.additionalGids: rootless containers with a single gid have no others"
        )


def _check_owner(
    place: str, option: str, kind: str, mappings: tuple[oci_runtime.IdMapping, ...]
) -> None:
    name, _, value = option.partition("=")
    if name != kind or not value.isdecimal():
        return
    if not any(m.container_id <= int(value) < m.container_id + m.size for m in mappings):
        raise errors.InvalidConfig(
            f"mount {place}: option {option}: this id is not mapped in the container's "
            "user namespace"
        )


def write_map(pid: int, kind: str, triples: Triples) -> None:
    """As namespaces.write_map, with the rights of a user. Raises OSError, NotPermitted."""
    own = os.geteuid() if kind == "uid" else os.getegid()
    if len(triples) == 1 and triples[0][1:] == (own, 1):
        if kind == "gid":  # the kernel's condition for a map that nobody helped with
            fd = os.open(f"/proc/{pid}/setgroups", os.O_WRONLY | os.O_CLOEXEC)
            os.write(fd, b"deny")
            os.close(fd)
        namespaces.write_map(pid, kind, triples)
        return
    program = f"new{kind}map"
    numbers = [str(number) for triple in triples for number in triple]
    stderr = os.memfd_create(program)
    try:
        actions = [(os.POSIX_SPAWN_DUP2, stderr, 2)]
        helper = os.posix_spawnp(
            program, [program, str(pid), *numbers], os.environ, file_actions=actions
        )
        status = os.waitpid(helper, 0)[1]
        text = os.pread(stderr, 4096, 0).decode(errors="replace").strip()
    except FileNotFoundError:
        raise errors.NotPermitted(
            f"linux.{kind}Mappings: {program} is not installed; without it only the caller's own "
            "id can be mapped"
        ) from None
    finally:
        os.close(stderr)
    if status:
        raise errors.NotPermitted(f"linux.{kind}Mappings: {text or f'{program} failed'}")


def delegated(container_id: str) -> str:
    """The container's cgroup beside our own one, or "" where nobody gave us the one above (v2).

    Beside, not below: a cgroup that has processes hands no controllers down.
    """
    layout = host.layout()
    if layout.v1 or layout.unified is None:
        return ""
    own = host.own_cgroups().get("", "/")
    above = os.path.relpath(os.path.dirname(own), layout.unified.root)
    directory = os.path.normpath(f"{layout.unified.mount_point}/{above}")
    mine = os.access(directory, os.W_OK) and os.access(f"{directory}/cgroup.procs", os.W_OK)
    return os.path.normpath(f"/{above}/{container_id}") if mine else ""
