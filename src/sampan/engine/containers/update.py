"""`update`: limits and the restart policy of a container, running or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.engine import monitors, oci_resources, runtimes
from sampan.engine.containers import validation
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.linux import cgroup

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container

KEYS = (
    "BlkioWeight", "CpuShares", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod", "CpuRealtimeRuntime",
    "CpusetCpus", "CpusetMems", "Memory", "MemorySwap", "MemoryReservation", "KernelMemory",
    "NanoCpus", "PidsLimit", "RestartPolicy",
)  # fmt: skip


async def update(container: Container, changes: dict[str, Any]) -> None:
    """Docker's `POST /containers/{id}/update`: what is zero or absent stays as it is,
    but for a limit of processes."""
    wanted = {key: changes[key] for key in KEYS if changes.get(key)}
    if changes.get("PidsLimit") is not None:  # here, 0 is a word: no limit
        wanted["PidsLimit"] = max(0, changes["PidsLimit"])
    policy = wanted.get("RestartPolicy")
    if policy is not None and not policy.get("Name"):
        del wanted["RestartPolicy"]
    elif policy is not None and container.host_config.get("AutoRemove"):
        raise errors.Conflict(
            "Restart policy cannot be updated because AutoRemove is enabled for the container"
        )
    merged = {**container.host_config, **wanted}
    memory, swap = merged.get("Memory") or 0, merged.get("MemorySwap") or 0
    if "Memory" in wanted and "MemorySwap" not in wanted and swap and 0 < swap < memory:
        raise errors.Conflict(
            f"Cannot update container {container.id}: Memory limit should be smaller than "
            "already set memoryswap limit, update the memoryswap at the same time"
        )
    validation.check_limits(merged)
    async with container.lock:
        if container.running:
            resources = oci_resources.resources(merged)
            del resources["devices"]
            if "PidsLimit" in wanted:
                resources["pids"] = {"limit": wanted["PidsLimit"] or -1}
            if runtimes.other(container):
                await monitors.call(container, "update", resources)
            else:
                await in_thread(cgroup.manager(container.cgroup).apply, resources)
        container.host_config = {**merged, "PidsLimit": merged.get("PidsLimit") or 0}
        container.save_settings()
    container.event("update")
