"""What one process is to be: ids, limits, capabilities, filter. Shared by `create` and `exec`."""

from __future__ import annotations

from sampan.kit.record import Record
from sampan.linux import capabilities, process
from sampan.runtime import errors, trace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.spec import oci_runtime


class ProcessPlan(Record):
    args: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    terminal: bool
    size: tuple[int, int] | None  # rows, columns
    uid: int
    gid: int
    groups: tuple[int, ...] | None  # None keeps those of the caller
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


def make(
    spec: oci_runtime.Process,
    filters: dict[str, Any],
    *,
    user_namespace: bool,
    preserve_fds: int = 0,
    pdeathsig: int = 0,
    init: bool = False,
    new_keyring: str = "",
    linux: oci_runtime.Linux | None = None,
    annotations: dict[str, str] | None = None,
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
        groups=None if _keeps_groups(annotations) else spec.user.additional_gids,
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
        tuning=tune(spec, linux, init=init),
        personality=personality(linux.personality) if linux else None,
    )


def _keeps_groups(annotations: dict[str, str] | None) -> bool:
    """crun's, and what `podman --group-add keep-groups` asks for: what the caller may read by a
    group of his the container may, too, without that id being mapped."""
    return (annotations or {}).get("run.oci.keep_original_groups") == "1"


def tune(spec: oci_runtime.Process, linux: oci_runtime.Linux | None, *, init: bool = False) -> Any:
    """A runtime.tuning.Tuning, or None where nothing of it is asked for."""
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
    return tuning.make(spec, memory_policy, cpus, init=init)


def personality(document: dict[str, Any]) -> int | None:
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
    # TSYNC means nothing to a single thread, and a listener excludes it
    from sampan.linux import seccomp

    flags = seccomp.flags(profile) & ~seccomp.FLAGS["SECCOMP_FILTER_FLAG_TSYNC"]
    if _listener(profile):
        flags |= seccomp.NEW_LISTENER
    trace.say(f"seccomp filter flags: {flags}")
    return seccomp.compile(profile), flags


def _listener(profile: dict[str, Any]) -> tuple[str, str] | None:
    actions = {entry.get("action") for entry in profile.get("syscalls") or ()}
    actions.add(profile.get("defaultAction"))
    if "SCMP_ACT_NOTIFY" not in actions and not profile.get("listenerMetadata"):
        return None
    from sampan.runtime import listener

    return listener.check(profile)
