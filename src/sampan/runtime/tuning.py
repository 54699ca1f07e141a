"""What few containers ask for about their process: scheduler, priorities, memory policy, labels.

Imported only when config.json has one of them. `make` checks and translates in the caller, `apply`
and `open_label` run in the child; `Tuning` is what goes from one to the other.
"""

from __future__ import annotations

import os

from sampan.kit.record import Record
from sampan.linux import apparmor, files, scheduling
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.spec import oci_runtime

_MAX_NODES = 1024  # MAX_NUMNODES of the largest configuration


class Tuning(Record):
    scheduler: bytes | None = None  # struct sched_attr
    io_priority: int | None = None
    memory_policy: tuple[int, bytes] | None = None
    label: tuple[str, str] | None = None  # a file below /proc/thread-self/attr, what is written
    initial_cpus: frozenset[int] | None = None  # of an exec: before it joins the cgroup
    final_cpus: frozenset[int] | None = None  # and after that


def make(
    spec: oci_runtime.Process,
    memory_policy: dict[str, Any] | None,
    cpus: str,
    *,
    init: bool = False,
) -> Tuning:
    """`cpus` is the container's linux.resources.cpu.cpus; `init`: PID 1 executes nothing itself."""
    if cpus and spec.scheduler.get("policy") == "SCHED_DEADLINE":
        raise errors.InvalidConfig(
            "process scheduler can't be used together with AllowedCPUs: SCHED_DEADLINE needs every "
            f"CPU, and linux.resources.cpu.cpus is {cpus!r}"
        )
    affinity = spec.exec_cpu_affinity
    return Tuning(
        scheduler=_scheduler(spec.scheduler) if spec.scheduler else None,
        io_priority=_io_priority(spec.io_priority) if spec.io_priority else None,
        memory_policy=_memory_policy(memory_policy) if memory_policy is not None else None,
        label=_label(spec, init=init),
        initial_cpus=_cpus(affinity, "initial"),
        final_cpus=_cpus(affinity, "final"),
    )


def _scheduler(document: dict[str, Any]) -> bytes:
    place = "process.scheduler"
    name = document.get("policy")
    policy = _choose(scheduling.POLICIES, name, f"{place}.policy")
    flags = _flags(scheduling.SCHED_FLAGS, document, place)
    nice, priority, runtime, deadline, period = (
        _integer(document, key, place)
        for key in ("nice", "priority", "runtime", "deadline", "period")
    )
    if not -20 <= nice <= 19:
        raise errors.InvalidConfig(f"{place}.nice: {nice} is not between -20 and 19")
    if priority and name not in ("SCHED_FIFO", "SCHED_RR"):
        raise errors.InvalidConfig(
            f"{place}.priority: {priority} is for SCHED_FIFO and SCHED_RR, not for {name}"
        )
    if (runtime or deadline or period) and name != "SCHED_DEADLINE":
        raise errors.InvalidConfig(
            f"{place}: runtime, deadline and period are for SCHED_DEADLINE, not for {name}"
        )
    if min(priority, runtime, deadline, period) < 0:
        raise errors.InvalidConfig(f"{place}: priority and times cannot be negative")
    return scheduling.attributes(policy, flags, nice, priority, runtime, deadline, period)


def _io_priority(document: dict[str, Any]) -> int:
    place = "process.ioPriority"
    kind = _choose(scheduling.IO_CLASSES, document.get("class"), f"{place}.class")
    level = _integer(document, "priority", place)
    if not 0 <= level <= 7:
        raise errors.InvalidConfig(f"{place}.priority: {level} is not between 0 and 7")
    return int(kind << 13 | level)


def _memory_policy(document: dict[str, Any]) -> tuple[int, bytes]:
    place = "linux.memoryPolicy"
    name = document.get("mode")
    mode = _choose(scheduling.MEMORY_MODES, name, f"{place}.mode: invalid memory policy mode")
    what = f"{place}: invalid memory policy flag"
    mode |= _flags(scheduling.MEMORY_FLAGS, document, what)
    text = document.get("nodes") or ""
    nodes = (
        parse_list(text, f"{place}.nodes: invalid memory policy node", _MAX_NODES)
        if text
        else frozenset()
    )
    if nodes and name in ("MPOL_DEFAULT", "MPOL_LOCAL"):
        raise errors.InvalidConfig(
            f"{place}.nodes: {name}: mode requires 0 nodes but got {len(nodes)}"
        )
    if not nodes and name not in ("MPOL_DEFAULT", "MPOL_LOCAL", "MPOL_PREFERRED"):
        raise errors.InvalidConfig(
            f"{place}.nodes: {name}: mode requires at least one node but got 0"
        )
    mask = sum(1 << node for node in nodes)
    return mode, mask.to_bytes((mask.bit_length() + 7) // 8, "little")


def _cpus(affinity: dict[str, Any], key: str) -> frozenset[int] | None:
    text = affinity.get(key)
    return parse_list(text, f"process.execCPUAffinity.{key}", 8192) if text else None


def parse_list(text: object, where: str, limit: int) -> frozenset[int]:
    """`0-3,7` as a set, as the kernel writes lists of CPUs and nodes."""
    numbers: set[int] = set()
    for part in str(text).split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isascii() and first.isdecimal()) or (dash and not last.isdecimal()):
            raise errors.InvalidConfig(f"{where}: {text!r} is no list like 0-3,7")
        low, high = int(first), int(last or first)
        if low > high or high >= limit:
            raise errors.InvalidConfig(f"{where}: {part.strip()} is no range below {limit}")
        numbers.update(range(low, high + 1))
    return frozenset(numbers)


def _label(spec: oci_runtime.Process, *, init: bool) -> tuple[str, str] | None:
    """Fail closed: a process that shall be confined must not run where nothing confines it."""
    if spec.apparmor_profile and spec.selinux_label:
        raise errors.InvalidConfig("process: apparmorProfile and selinuxLabel exclude each other")
    if spec.selinux_label:
        if not selinux():
            raise errors.NotPermitted(
                "process.selinuxLabel is set, but SELinux is disabled or not supported by this host"
            )
        return "attr/exec", spec.selinux_label
    if spec.apparmor_profile:
        if not apparmor.enabled():
            raise errors.NotPermitted(
                f"process.apparmorProfile is {spec.apparmor_profile!r}, but AppArmor is disabled "
                "or not supported by this host"
            )
        own = "apparmor/" if os.path.isdir("/proc/self/attr/apparmor") else ""
        if init:  # at once, for an execve is only its child's
            return f"attr/{own}current", f"changeprofile {spec.apparmor_profile}"
        return f"attr/{own}exec", f"exec {spec.apparmor_profile}"
    return None


def selinux() -> bool:
    return os.path.exists("/sys/fs/selinux/enforce")


def open_label(tuning: Tuning) -> int:
    """The file that takes the label, in the host's /proc and with nothing mounted over it."""
    if tuning.label is None:
        return -1
    top = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        strict = files.RESOLVE.BENEATH | files.RESOLVE.NO_MAGICLINKS | files.RESOLVE.NO_XDEV
        return files.openat2(top, f"thread-self/{tuning.label[0]}", os.O_WRONLY, 0, strict)
    except OSError as error:
        raise errors.NotPermitted(
            f"the label of the process: /proc/thread-self/{tuning.label[0]}: {errors.reason(error)}"
        ) from error
    finally:
        os.close(top)


def apply(tuning: Tuning, label: int) -> None:
    """In the child, while it still has the capabilities for it."""
    if tuning.io_priority is not None:
        _do("process.ioPriority", scheduling.set_io_priority, tuning.io_priority)
    if tuning.memory_policy is not None:
        _do("linux.memoryPolicy", scheduling.set_memory_policy, *tuning.memory_policy)
    if tuning.label is not None:
        _do("the label of the process", os.write, label, tuning.label[1].encode())
    if tuning.scheduler is not None:  # last: under SCHED_DEADLINE all that follows is slow
        _do("process.scheduler", scheduling.set_scheduler, tuning.scheduler)


def _do(what: str, call: Any, *arguments: Any) -> None:
    try:
        call(*arguments)
    except OSError as error:
        raise errors.NotPermitted(f"{what}: {error.strerror or error}") from error


def _choose(table: dict[str, int], name: object, where: str) -> int:
    if not isinstance(name, str) or name not in table:
        raise errors.InvalidConfig(f"{where}: {name!r} is none of {', '.join(table)}")
    return table[name]


def _flags(table: dict[str, int], document: dict[str, Any], where: str) -> int:
    total = 0
    for index, name in enumerate(document.get("flags") or ()):
        total |= _choose(table, name, f"{where}.flags[{index}]")
    return total


def _integer(document: dict[str, Any], key: str, where: str) -> int:
    value = document.get(key)
    if value is None:
        return 0
    if type(value) is not int:
        raise errors.InvalidConfig(f"{where}.{key} must be an integer, not {value!r:.60}")
    return value
