"""`events`: what a container uses, now or every few seconds, and its out-of-memory kills.

An event is one JSON object, `{"type": "stats" | "oom", "id": …, "data": …}`, in the form of runc's
types/events.go, which callers parse. The stream ends when the container's cgroup is gone.
"""

from __future__ import annotations

import os
import select
import time

from sampan.linux.cgroup import pressure
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sampan.linux.cgroup.stats import Io, Memory, Stats
    from sampan.runtime.state import Container

_UNLIMITED = (1 << 64) - 1
_LOOK = 0.5  # seconds between looks whether the container is still there
_UNITS = {"ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9, "h": 3600.0, "m": 60.0, "s": 1.0}


def seconds(text: str) -> float:
    """Go's durations: "5s", "100ms", "1m30s". Raises InvalidConfig."""
    total, rest = 0.0, text
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = next((u for u in _UNITS if rest.startswith(u)), "")
        if not unit or not number.replace(".", "", 1).isdecimal():
            raise errors.InvalidConfig(f"invalid duration {text!r} (5s, 100ms and 1m30s are valid)")
        total, rest = total + float(number) * _UNITS[unit], rest[len(unit) :]
    if total <= 0:
        raise errors.InvalidConfig("duration interval must be greater than 0")
    return total


def stats(container: Container) -> dict[str, Any]:
    """One `stats` event. Raises WrongState."""
    if container.status == "stopped":
        raise errors.WrongState(f"container with id {container.id} is not running")
    manager = container.manager
    data = document(manager.stats(), pressure.read(manager.paths().get("", "")))
    return {"type": "stats", "id": container.id, "data": data}


def stream(container: Container, interval: float) -> Iterator[dict[str, Any]]:
    """`oom` as they happen and `stats` every `interval` seconds, until the container has ended."""
    if container.status == "stopped":
        raise errors.WrongState(f"container with id {container.id} is not running")
    manager = container.manager
    kills, fd = manager.oom_count(), manager.oom_fd()
    poll = select.poll()
    if fd is not None:
        poll.register(fd, select.POLLIN)
    due = time.monotonic() + interval
    try:
        while True:
            ready = poll.poll(max(0.0, min(due - time.monotonic(), _LOOK)) * 1000)
            if ready:
                os.read(ready[0][0], 4096)
            # Counted before we ask whether it still runs: its last event may be its end.
            count = _count(container, kills)
            yield from [{"type": "oom", "id": container.id}] * (count - kills)
            kills = count
            if container.status == "stopped":
                return
            if time.monotonic() >= due:
                due += interval
                yield stats(container)
    except (FileNotFoundError, errors.WrongState):
        return  # it ended between two looks
    finally:
        if fd is not None:
            os.close(fd)


def _count(container: Container, before: int) -> int:
    try:
        return max(container.manager.oom_count(), before)
    except OSError:  # the cgroup is being removed
        return before


def document(used: Stats, psi: dict[str, Any]) -> dict[str, Any]:
    """runc's `Stats`. Zeros are left out where runc leaves them out."""
    cpu = {
        "usage": {**_some(total=used.cpu.total, percpu=list(used.cpu.percpu)),
                  "kernel": used.cpu.kernel, "user": used.cpu.user},
        "throttling": _some(
            periods=used.cpu.periods,
            throttledPeriods=used.cpu.throttled_periods,
            throttledTime=used.cpu.throttled_time,
        ),
    }  # fmt: skip
    return {
        "cpu": {**cpu, **_some(psi=psi.get("cpu"))},
        "memory": {**_memory(used.memory), **_some(psi=psi.get("memory"))},
        "pids": _some(current=used.pids.current, limit=used.pids.limit),
        "blkio": {**_io(used.io), **_some(psi=psi.get("io"))},
        "hugetlb": {
            size: {**_some(usage=one.usage, max=one.max_usage), "failcnt": one.failcnt}
            for size, one in used.hugetlb.items()
        },
        "intel_rdt": {},
        "network_interfaces": None,
    }


def _memory(memory: Memory) -> dict[str, Any]:
    stat = memory.stat
    limit, swap = (_UNLIMITED if x is None else x for x in (memory.limit, memory.swap_limit))
    return {
        **_some(cache=stat.get("cache", stat.get("file", 0))),
        "usage": {
            "limit": limit,
            **_some(usage=memory.usage, max=memory.max_usage),
            "failcnt": memory.failcnt,
        },
        "swap": {"limit": swap, **_some(usage=memory.swap_usage), "failcnt": 0},
        **_some(raw=stat),
    }


def _io(io: Io) -> dict[str, Any]:
    lists = {"ioServiceBytesRecursive": io.service_bytes, "ioServicedRecursive": io.serviced}
    return {
        name: [_some(major=e.major, minor=e.minor, op=e.op, value=e.value) for e in entries]
        for name, entries in lists.items()
        if entries
    }


def _some(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}
