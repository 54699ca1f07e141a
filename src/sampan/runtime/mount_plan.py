"""One mount of config.json as plain values: flags, the source's path, the mapping of its ids."""

from __future__ import annotations

import os

from sampan.kit.record import Record
from sampan.linux.mount import MS
from sampan.runtime import errors
from sampan.runtime import options as mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.spec import oci_runtime

    Triples = tuple[tuple[int, int, int], ...]
    IdMap = tuple[Triples, Triples]  # uids, gids: (inside, outside, size) each


_UNLABELLED = ("proc", "sysfs", "mqueue", "cgroup", "cgroup2")  # the kernel labels them itself


class MountPlan(Record):
    destination: str
    type: str
    source: str
    options: mount_options.MountOptions
    idmap: IdMap | None = None  # of its own; None is the container's user namespace
    holder: int = 0  # the process in whose mount namespace the source lies, else 0


def holder(source: str) -> int:
    """The process in whose mount namespace a source lies: the PID of /proc/PID/root/…, else 0.

    An extension of ours: the kernel itself refuses to bind what another namespace has mounted.
    """
    parts = source.split("/", 4)
    if parts[:2] == ["", "proc"] and parts[3:4] == ["root"] and parts[2].isdecimal():
        return int(parts[2])
    return 0


def make(
    item: oci_runtime.Mount,
    bundle: str,
    *,
    root: str = "/",
    user_namespace: bool = False,
    label: str = "",
) -> MountPlan:
    """`label`: the SELinux context of new file systems that can have one."""
    chosen = mount_options.parse(item.options)
    source, kind = item.source, item.type
    if "\0" in source + kind + item.destination:
        raise errors.InvalidConfig(f"mount {item.destination!r}: a field contains a null byte")
    if kind == "bind" and not chosen.flags & MS.BIND:
        chosen = chosen.replace(flags=chosen.flags | MS.BIND)
    if chosen.flags & MS.BIND:
        source = os.path.join(bundle, source)
        if chosen.data:
            raise errors.InvalidConfig(
                f"mount {item.destination}: a bind mount takes no options of a file system "
                f"({','.join(chosen.data)})"
            )
    elif not kind:
        raise errors.InvalidConfig(f"mount {item.destination}: neither a type nor bind is given")
    if label and not chosen.flags & MS.BIND and kind not in _UNLABELLED:
        # quoted, because categories are separated by commas as options are
        chosen = chosen.replace(data=(*chosen.data, f'context="{label}"'))
    mapping = None
    if chosen.idmap or item.uid_mappings or item.gid_mappings:
        can = bool(chosen.flags & MS.BIND) or kind == "overlay"
        mapping = _idmap(item, can=can, user_namespace=user_namespace)
        chosen = chosen.replace(idmap=chosen.idmap or "idmap")
    if chosen.copy_up and kind != "tmpfs":
        raise errors.InvalidConfig(f"mount {item.destination}: tmpcopyup is for a tmpfs only")
    path = os.path.normpath("/" + item.destination.lstrip("/"))
    if root != "/" and path.startswith(f"{root}/"):  # some name it as the host sees it
        path = path.removeprefix(root)
    return MountPlan(
        destination=path,
        type=kind,
        source=source,
        options=chosen,
        idmap=mapping,
        holder=holder(source) if chosen.flags & MS.BIND else 0,
    )


def _idmap(item: oci_runtime.Mount, *, can: bool, user_namespace: bool) -> IdMap | None:
    """The mapping of an id-mapped mount, or None for that of the container's user namespace.

    Bind mounts can be mapped, and as an extension of ours overlays: all their layers are.
    """
    where = f"mount {item.destination}"
    if not can:
        raise errors.InvalidConfig(f"{where}: id-mapped mounts are only supported for bind-mounts")
    if os.geteuid():
        raise errors.NotPermitted(
            f"{where}: id-mapped mounts are not supported for rootless containers"
        )
    uids, gids = item.uid_mappings, item.gid_mappings
    if not uids and not gids and user_namespace:
        return None
    if not uids or not gids:
        raise errors.InvalidConfig(
            f"{where}: id-mapped mounts must have both uid and gid mappings specified"
        )
    return triples(uids), triples(gids)


def triples(mappings: tuple[oci_runtime.IdMapping, ...]) -> Triples:
    return tuple([(m.container_id, m.host_id, m.size) for m in mappings])
