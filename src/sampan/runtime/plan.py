"""What is to be done, decided before anything is done.

`make` turns a Config into a Plan of plain values: flags, masks, resolved sources, compiled filters.
All refusals that need no kernel happen here, in the caller; the child then only executes.
"""

from __future__ import annotations

import fcntl
import os
import stat

from sampan.kit.record import Record
from sampan.linux import capabilities, namespaces, process, seccomp
from sampan.linux.mount import MS
from sampan.linux.namespaces import CLONE
from sampan.runtime import errors, trace
from sampan.runtime import options as mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.spec import oci_runtime

    Triples = tuple[tuple[int, int, int], ...]
    IdMap = tuple[Triples, Triples]  # uids, gids: (inside, outside, size) each

NS_GET_NSTYPE = 0xB703  # ioctl_nsfs(2)


class MountPlan(Record):
    destination: str
    type: str
    source: str
    options: mount_options.MountOptions
    idmap: IdMap | None = None  # of its own; None is the container's user namespace


class DevicePlan(Record):
    path: str
    mode: int  # type and permissions, as mknod(2) takes them
    major: int
    minor: int
    uid: int = 0
    gid: int = 0


class ProcessPlan(Record):
    """One process: what it runs and as whom. Shared by `create` and `exec`."""

    args: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    terminal: bool
    size: tuple[int, int] | None  # rows, columns
    uid: int
    gid: int
    groups: tuple[int, ...]
    umask: int | None
    # bounding, effective, permitted, inheritable, ambient; None keeps what the caller has
    capabilities: tuple[int, int, int, int, int] | None
    rlimits: tuple[tuple[str, int, int], ...]
    no_new_privs: bool
    oom_score_adj: int | None
    seccomp: tuple[bytes, int] | None  # program, flags of seccomp(2)
    user_namespace: bool
    preserve_fds: int
    pdeathsig: int
    init: bool
    new_keyring: str
    listener: tuple[str, str] | None = None  # seccomp's agent: its socket, metadata
    tuning: Any = None  # a runtime.tuning.Tuning: what few ask for
    personality: int | None = None


class Plan(Record):
    process: ProcessPlan
    root: str
    root_readonly: bool
    rootfs: tuple[MountPlan, ...]
    mounts: tuple[MountPlan, ...]
    devices: tuple[DevicePlan, ...]
    host_dev: bool
    masked_paths: tuple[str, ...]
    readonly_paths: tuple[str, ...]
    propagation: str
    hostname: str
    domainname: str
    sysctl: tuple[tuple[str, str], ...]
    new: int  # CLONE flags of namespaces to make
    joined: tuple[tuple[str, int], ...]  # (OCI name, descriptor) of namespaces to join
    user_namespace: bool
    own_cgroup_namespace: bool
    no_pivot: bool
    time_offsets: str  # what /proc/self/timens_offsets takes
    net_devices: tuple[tuple[str, str], ...]  # (name on the host, name in the container)
    hooks: oci_runtime.Hooks
    state: dict[str, Any]  # what hooks read from their stdin

    @property
    def own_mounts(self) -> bool:
        return bool(self.new & CLONE.NEWNS)

    @property
    def own_pids(self) -> bool:
        return bool(self.new & CLONE.NEWPID)

    def joins(self, kind: str) -> int:
        """The descriptor of the namespace of this kind that is joined, or -1."""
        return dict(self.joined).get(kind, -1)


def make_process(
    spec: oci_runtime.Process,
    filters: dict[str, Any],
    *,
    user_namespace: bool,
    preserve_fds: int = 0,
    pdeathsig: int = 0,
    init: bool = False,
    new_keyring: str = "",
    linux: oci_runtime.Linux | None = None,
) -> ProcessPlan:
    if not spec.args:
        raise errors.InvalidConfig("process.args must name a command")
    if not spec.cwd.startswith("/"):
        raise errors.InvalidConfig(f"process.cwd must be an absolute path, not {spec.cwd!r}")
    size = spec.console_size
    return ProcessPlan(
        args=spec.args,
        env=dict(_variable(item) for item in spec.env),
        cwd=spec.cwd,
        terminal=spec.terminal,
        size=(size.height, size.width) if size and spec.terminal else None,
        uid=_id(spec.user.uid, "process.user.uid"),
        gid=_id(spec.user.gid, "process.user.gid"),
        groups=spec.user.additional_gids,
        umask=spec.user.umask,
        capabilities=_capabilities(spec.capabilities),
        rlimits=_rlimits(spec.rlimits),
        no_new_privs=spec.no_new_privileges,
        oom_score_adj=spec.oom_score_adj,
        seccomp=_filter(filters),
        user_namespace=user_namespace,
        preserve_fds=preserve_fds,
        pdeathsig=pdeathsig,
        init=init,
        new_keyring=new_keyring,
        listener=_listener(filters),
        tuning=_tuning(spec, linux),
        personality=_personality(linux.personality) if linux else None,
    )


def _tuning(spec: oci_runtime.Process, linux: oci_runtime.Linux | None) -> Any:
    memory_policy = linux.memory_policy if linux else None
    if not (
        spec.scheduler
        or spec.io_priority
        or spec.exec_cpu_affinity
        or spec.apparmor_profile
        or spec.selinux_label
        or memory_policy is not None
    ):
        return None
    from sampan.runtime import tuning

    cpus = ((linux.resources if linux else {}).get("cpu") or {}).get("cpus", "")
    return tuning.make(spec, memory_policy, cpus)


def _personality(document: dict[str, Any]) -> int | None:
    if not document:
        return None
    if document.get("flags"):
        raise errors.InvalidConfig(
            f"linux.personality.flags: {document['flags']!r}: no flag is defined"
        )
    domains = {"LINUX": 0, "LINUX32": 8}
    try:
        return domains[document["domain"]]
    except (KeyError, TypeError):
        raise errors.InvalidConfig("linux.personality.domain must be LINUX or LINUX32") from None


def _variable(item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not name or not equals or "\0" in item:
        raise errors.InvalidConfig(f"process.env: {item!r} is not NAME=VALUE")
    return name, value


def _id(number: int, where: str) -> int:
    if not 0 <= number < 2**32 - 1:
        raise errors.InvalidConfig(f"{where} is {number}; ids are 0 to 4294967294")
    return number


def _capabilities(sets: oci_runtime.Capabilities | None) -> tuple[int, int, int, int, int] | None:
    """The sets as masks; one that this kernel does not have is left out (a warning in the spec)."""
    if sets is None:
        return None
    known = capabilities.bounding()

    def mask(names: tuple[str, ...]) -> int:
        total = 0
        for name in names:
            total |= capabilities.BITS.get(name, 0)
        return total & known

    permitted, inheritable = mask(sets.permitted), mask(sets.inheritable)
    for name in sets.ambient:
        if not mask((name,)) & permitted & inheritable:
            trace.warn(
                f"can't raise ambient capability {name}: it is not permitted and inheritable"
            )
    return (
        mask(sets.bounding),
        mask(sets.effective) & permitted,
        permitted,
        inheritable,
        mask(sets.ambient) & permitted & inheritable,
    )


def _rlimits(limits: tuple[oci_runtime.Rlimit, ...]) -> tuple[tuple[str, int, int], ...]:
    seen = set()
    for limit in limits:
        if limit.type not in process.RLIMITS:
            raise errors.InvalidConfig(f"process.rlimits: {limit.type!r} is no resource limit")
        if limit.type in seen:
            raise errors.InvalidConfig(f"process.rlimits: {limit.type} is there twice")
        if limit.soft > limit.hard:
            raise errors.InvalidConfig(
                f"process.rlimits: {limit.type} has a soft limit above its hard limit"
            )
        seen.add(limit.type)
    return tuple([(limit.type, limit.soft, limit.hard) for limit in limits])


def _filter(profile: dict[str, Any]) -> tuple[bytes, int] | None:
    if not profile:
        return None
    flags = seccomp.flags(profile)
    if _listener(profile):  # it excludes TSYNC, which means nothing to a single thread
        flags = flags & ~seccomp.FLAGS["SECCOMP_FILTER_FLAG_TSYNC"] | seccomp.NEW_LISTENER
    return seccomp.compile(profile), flags


def _listener(profile: dict[str, Any]) -> tuple[str, str] | None:
    actions = {entry.get("action") for entry in profile.get("syscalls") or ()}
    actions.add(profile.get("defaultAction"))
    if "SCMP_ACT_NOTIFY" not in actions and not profile.get("listenerMetadata"):
        return None
    from sampan.runtime import listener

    return listener.check(profile)


def make_namespaces(linux: oci_runtime.Linux) -> tuple[int, tuple[tuple[str, int], ...]]:
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


def make_mount(
    item: oci_runtime.Mount, bundle: str, *, root: str = "/", user_namespace: bool = False
) -> MountPlan:
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
    return MountPlan(destination=path, type=kind, source=source, options=chosen, idmap=mapping)


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


_DEFAULT_DEVICES = tuple(
    DevicePlan(path=f"/dev/{name}", mode=stat.S_IFCHR | 0o666, major=major, minor=minor)
    for name, major, minor in (
        *(("null", 1, 3), ("zero", 1, 5), ("full", 1, 7)),
        *(("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)),
    )
)
_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def make_devices(devices: tuple[oci_runtime.Device, ...]) -> tuple[DevicePlan, ...]:
    own = []
    for device in devices:
        kind = _KINDS.get(device.type)
        if kind is None:
            raise errors.InvalidConfig(
                f"linux.devices: {device.path} has type {device.type!r}; c, b, u and p are known"
            )
        permissions = 0o666 if device.file_mode is None else device.file_mode & 0o7777
        own.append(
            DevicePlan(
                path=os.path.normpath(device.path),
                mode=kind | permissions,
                major=device.major,
                minor=device.minor,
                uid=device.uid,
                gid=device.gid,
            )
        )
    named = {device.path for device in own}
    return (*(d for d in _DEFAULT_DEVICES if d.path not in named), *own)


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


def make_sysctl(settings: dict[str, str], linux: oci_runtime.Linux) -> tuple[tuple[str, str], ...]:
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
