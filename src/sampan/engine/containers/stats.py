"""`stats`: the cgroup's counters and the interfaces' as Docker's JSON."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any

from sampan.engine.containers import wait
from sampan.kit import clock
from sampan.kit.threads import in_thread
from sampan.linux import cgroup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sampan.engine.containers.container import Container
    from sampan.linux.cgroup.stats import Stats

INTERVAL = 1.0  # seconds between samples
_NO_CPU = {
    "cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0},
    "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
}


async def stream(container: Container) -> AsyncIterator[dict[str, Any]]:
    """One object a second, until the container is gone."""
    before: dict[str, Any] | None = None
    while not container.removed:
        now = await in_thread(sample, container)
        yield _with_previous(now, before)
        before = now
        with contextlib.suppress(TimeoutError):  # who listens learns at once that it is gone
            async with asyncio.timeout(INTERVAL):
                await wait.prepare(container, "removed")


async def once(container: Container, *, one_shot: bool = False) -> dict[str, Any]:
    """One object. Without `one_shot` there is a sample a second before it, to compute a rate."""
    before = None
    if not one_shot and container.running:
        before = await in_thread(sample, container)
        await asyncio.sleep(INTERVAL)
    return _with_previous(await in_thread(sample, container), before)


def _with_previous(now: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    return {
        **now,
        "preread": before["read"] if before else clock.ZERO,
        "precpu_stats": before["cpu_stats"] if before else _NO_CPU,
    }


def sample(container: Container) -> dict[str, Any]:
    """What the kernel says now; a container that does not run has zeros."""
    head = {"name": f"/{container.name}", "id": container.id, "read": clock.ZERO,
            "num_procs": 0, "pids_stats": {}, "storage_stats": {}, "networks": {},
            "memory_stats": {}, "cpu_stats": _NO_CPU, "blkio_stats": _no_blkio()}  # fmt: skip
    if not container.running:
        return head
    try:
        counted = cgroup.manager(container.cgroup).stats()
        networks = _interfaces(container.pid)
    except (FileNotFoundError, ProcessLookupError):
        return head  # it has just ended
    return {
        **head,
        "read": clock.now(),
        "pids_stats": _pids(counted),
        "memory_stats": _memory(counted),
        "cpu_stats": _cpu(counted),
        "blkio_stats": _blkio(counted),
        "networks": networks,
    }


def _pids(counted: Stats) -> dict[str, int]:
    found = {"current": counted.pids.current}
    if counted.pids.limit:
        found["limit"] = counted.pids.limit
    return found


def _memory(counted: Stats) -> dict[str, Any]:
    memory = counted.memory
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = memory.limit if memory.limit and memory.limit < total else total
    most = {"max_usage": memory.max_usage} if memory.max_usage and not cgroup.unified() else {}
    return {"usage": memory.usage, **most, "limit": limit, "stats": dict(memory.stat)}


def _cpu(counted: Stats) -> dict[str, Any]:
    cpu = counted.cpu
    usage: dict[str, Any] = {
        "total_usage": cpu.total,
        "usage_in_kernelmode": cpu.kernel,
        "usage_in_usermode": cpu.user,
    }
    if cpu.percpu:
        usage["percpu_usage"] = list(cpu.percpu)
    return {
        "cpu_usage": usage,
        "system_cpu_usage": system_cpu(),
        "online_cpus": os.cpu_count() or 1,
        "throttling_data": {
            "periods": cpu.periods,
            "throttled_periods": cpu.throttled_periods,
            "throttled_time": cpu.throttled_time,
        },
    }


def system_cpu() -> int:
    """Nanoseconds that all CPUs together have spent, from the first line of /proc/stat."""
    with open("/proc/stat") as file:
        fields = file.readline().split()[1:8]
    return sum(map(int, fields)) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def _no_blkio() -> dict[str, Any]:
    return {
        f"{name}_recursive": None
        for name in (
            "io_service_bytes", "io_serviced", "io_queue", "io_service_time", "io_wait_time",
            "io_merged", "io_time", "sectors",
        )
    }  # fmt: skip


def _blkio(counted: Stats) -> dict[str, Any]:
    """Of v2 Docker tells reads and writes only, and those in small letters."""
    found, v2 = _no_blkio(), cgroup.unified()
    found["io_service_bytes_recursive"] = [
        {
            "major": entry.major,
            "minor": entry.minor,
            "op": entry.op.lower() if v2 else entry.op,
            "value": entry.value,
        }
        for entry in counted.io.service_bytes
        if not v2 or entry.op in ("Read", "Write")
    ]
    return found


def _interfaces(pid: int) -> dict[str, dict[str, int]]:
    """/proc/PID/net/dev is the process's own network namespace's."""
    found = {}
    with open(f"/proc/{pid}/net/dev") as file:
        lines = file.readlines()[2:]
    for line in lines:
        name, _, rest = line.partition(":")
        numbers = list(map(int, rest.split()))
        if name.strip() == "lo" or len(numbers) < 12:
            continue
        found[name.strip()] = {
            "rx_bytes": numbers[0], "rx_packets": numbers[1], "rx_errors": numbers[2],
            "rx_dropped": numbers[3], "tx_bytes": numbers[8], "tx_packets": numbers[9],
            "tx_errors": numbers[10], "tx_dropped": numbers[11],
        }  # fmt: skip
    return found
