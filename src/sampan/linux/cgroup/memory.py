"""The memory controller: limits, usage, out-of-memory kills.

OCI's `swap` is memory plus swap, as v1's memsw is; v2 limits swap alone. -1 is no limit, 0 is
"not set".
"""

from __future__ import annotations

import errno
import os

from sampan.linux.cgroup import files
from sampan.linux.cgroup.errors import ControllerMissing, InvalidLimit, LimitBelowUsage
from sampan.linux.cgroup.stats import Memory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.linux.cgroup.tree import Tree

_LIMITS = ("limit", "swap", "reservation", "kernel", "kernelTCP")


def apply(tree: Tree, memory: dict[str, Any]) -> None:
    memory = {k: v for k, v in memory.items() if v is not None and (v or k not in _LIMITS)}
    if not any(
        k in memory and memory[k] is not False for k in (*_LIMITS, "swappiness", "disableOOMKiller")
    ):
        return
    v1, v2 = tree.v1("memory"), tree.v2("memory")
    memory = _with_limit(memory, f"{v1}/memory.limit_in_bytes" if v1 else f"{v2}/memory.max")
    _check(memory)
    if directory := v1:
        _check_usage(f"{directory}/memory.usage_in_bytes", memory)
        _apply_v1(directory, memory)
    elif directory := v2:
        _check_usage(f"{directory}/memory.current", memory)
        for file, value in writes_v2(memory):
            _set(directory, file, value)
    else:
        named = ", ".join(f"{k} {v}" for k, v in memory.items())
        raise tree.missing("memory", f"memory {named}")


def _with_limit(memory: dict[str, Any], path: str) -> dict[str, Any]:
    """A new memory+swap limit alone goes with the memory limit that is set already."""
    if memory.get("swap", 0) > 0 and "limit" not in memory and (limit := files.limit(path)):
        return {**memory, "limit": limit}
    return memory


def _check(memory: dict[str, Any]) -> None:
    limit, swap = memory.get("limit", 0), memory.get("swap", 0)
    if swap > 0 and limit <= 0:
        raise InvalidLimit(f"a memory+swap limit of {swap} needs a memory limit, too")
    if 0 < swap < limit:
        raise InvalidLimit(f"the memory+swap limit {swap} is below the memory limit {limit}")


def _check_usage(path: str, memory: dict[str, Any]) -> None:
    if not memory.get("checkBeforeUpdate"):
        return
    usage = files.number(path)
    for name, limit in (("memory+swap", memory.get("swap", 0)), ("memory", memory.get("limit", 0))):
        if 0 < limit < usage:
            raise LimitBelowUsage(f"rejecting {name} limit {limit} (usage is {usage} bytes)")


def _apply_v1(directory: str, memory: dict[str, Any]) -> None:
    limit, swap = memory.get("limit"), memory.get("swap")
    if limit == -1 and swap is None and files.exists(f"{directory}/memory.memsw.limit_in_bytes"):
        swap = -1
    pair = [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", swap)]
    # memory ≤ memory+swap holds at every moment: growing starts with swap, shrinking with memory.
    if limit is not None and swap is not None:
        current = files.limit(f"{directory}/memory.memsw.limit_in_bytes")
        if limit == -1 or swap == -1 or (current is not None and limit > current):
            pair.reverse()
    for file, value in pair:
        if value is not None:
            _set(directory, file, value)
    if "reservation" in memory:
        _set(directory, "memory.soft_limit_in_bytes", memory["reservation"])
    # memory.kmem.limit_in_bytes ended with Linux 5.16 and the spec deprecates `kernel`: left alone.
    if "kernelTCP" in memory:
        _set(directory, "memory.kmem.tcp.limit_in_bytes", memory["kernelTCP"])
    if (swappiness := memory.get("swappiness")) is not None and swappiness >= 0:
        files.set_limit(directory, "memory.swappiness", swappiness)
    if memory.get("disableOOMKiller"):
        files.set_limit(directory, "memory.oom_control", 1)


def writes_v2(memory: dict[str, Any]) -> list[tuple[str, str]]:
    """The v2 files and values for an OCI memory section, in the order to write them."""
    for key in ("kernelTCP", "swappiness", "disableOOMKiller"):
        value = memory.get(key)
        if value is not None and value is not False and value != -1:
            raise ControllerMissing("memory", f"memory {key} {value} exists only on cgroup v1")
    writes = []
    limit, swap = memory.get("limit"), memory.get("swap")
    if swap is not None or limit == -1:
        unlimited = swap is None or swap < 0
        writes.append(("memory.swap.max", "max" if unlimited else str((swap or 0) - (limit or 0))))
    if limit is not None:
        writes.append(("memory.max", _or_max(limit)))
    if "reservation" in memory:
        writes.append(("memory.low", _or_max(memory["reservation"])))
    return writes


def _or_max(value: int) -> str:
    return "max" if value < 0 else str(value)


def _set(directory: str, file: str, value: object) -> None:
    if "sw" in file and not files.exists(f"{directory}/{file}"):
        if value in (-1, "max"):
            return
        raise ControllerMissing(
            "memory",
            f"a memory+swap limit needs swap accounting ({file}), which this kernel has not",
        )
    try:
        files.set_limit(directory, file, value)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        usage = files.number(f"{directory}/memory.usage_in_bytes")
        message = f"{file} cannot become {value}: {usage} bytes are in use and cannot be reclaimed"
        raise LimitBelowUsage(message) from error


def stats(tree: Tree) -> Memory:
    if directory := tree.v1("memory"):
        return Memory(
            usage=files.number(f"{directory}/memory.usage_in_bytes"),
            max_usage=files.number(f"{directory}/memory.max_usage_in_bytes"),
            limit=files.limit(f"{directory}/memory.limit_in_bytes"),
            failcnt=files.number(f"{directory}/memory.failcnt"),
            swap_usage=files.number(f"{directory}/memory.memsw.usage_in_bytes"),
            swap_limit=files.limit(f"{directory}/memory.memsw.limit_in_bytes"),
            stat=files.flat(f"{directory}/memory.stat"),
        )
    directory = tree.unified
    if not directory or not files.exists(f"{directory}/memory.current"):
        return Memory()
    return Memory(
        usage=files.number(f"{directory}/memory.current"),
        max_usage=files.number(f"{directory}/memory.peak"),
        limit=files.limit(f"{directory}/memory.max"),
        failcnt=files.flat(f"{directory}/memory.events").get("max", 0),
        swap_usage=files.number(f"{directory}/memory.swap.current"),
        swap_limit=files.limit(f"{directory}/memory.swap.max"),
        stat=files.flat(f"{directory}/memory.stat"),
    )


def oom_count(tree: Tree) -> int:
    """Processes that the out-of-memory killer ended in this cgroup and below."""
    if directory := tree.v1("memory"):
        return files.flat(f"{directory}/memory.oom_control").get("oom_kill", 0)
    if tree.unified:
        return files.flat(f"{tree.unified}/memory.events").get("oom_kill", 0)
    return 0


def oom_fd(tree: Tree) -> int | None:
    """Readable when it is time to look at `oom_count` again; None without a memory controller.

    v1: an eventfd (memory.txt section 9), which also fires when the cgroup is removed.
    v2: inotify on memory.events.
    """
    if directory := tree.v1("memory"):
        return _eventfd(directory)
    if tree.unified and files.exists(f"{tree.unified}/memory.events"):
        from sampan.linux import inotify

        fd = inotify.create()
        inotify.add_watch(fd, f"{tree.unified}/memory.events", inotify.IN.MODIFY)
        return fd
    return None


def _eventfd(directory: str) -> int:
    event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        control = os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
        try:
            files.write(f"{directory}/cgroup.event_control", f"{event} {control}")
        finally:
            os.close(control)
    except BaseException:
        os.close(event)
        raise
    return event
