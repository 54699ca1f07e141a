"""What a Prometheus reads at `metrics-addr`: the text format, version 0.0.4.

Names are those of dockerd's own where it has the same figure, so that dashboards go on.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from sampan.engine.engine import Engine

TYPE = "text/plain; version=0.0.4; charset=utf-8"
_STATES = {"running": ("running",), "paused": ("paused",)}  # all others count as stopped


def handler(engine: Engine):  # type: ignore[no-untyped-def]
    async def answer(request: web.BaseRequest) -> web.Response:
        if request.path != "/metrics":
            return web.Response(status=404, text="metrics are at /metrics\n")
        return web.Response(body=text(engine).encode(), headers={"Content-Type": TYPE})

    return answer


def text(engine: Engine) -> str:
    states = [container.status for container in engine.containers]
    by_state = {name: sum(map(states.count, which)) for name, which in _STATES.items()}
    by_state["stopped"] = len(states) - sum(by_state.values())
    lines: list[str] = []

    def metric(name: str, kind: str, meaning: str, values: dict[str, float]) -> None:
        lines.extend((f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"))
        lines.extend(f"{name}{labels} {value:g}" for labels, value in values.items())

    metric(
        "engine_daemon_container_states_containers",
        "gauge",
        "The count of containers in various states",
        {f'{{state="{state}"}}': count for state, count in by_state.items()},
    )
    failing = sum(bool(c.health and c.health.status == "unhealthy") for c in engine.containers)
    metric("sampan_unhealthy_containers", "gauge", "Running but unhealthy", {"": failing})
    for name, table in (("images", "images"), ("networks", "networks"), ("volumes", "volumes")):
        count = engine.db.value(f"select count(*) from {table}")
        metric(f"sampan_{name}", "gauge", f"How many {name} there are", {"": count})
    metric("engine_daemon_engine_cpus_cpus", "gauge", "CPUs of the host", {"": os.cpu_count() or 1})
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    metric("engine_daemon_engine_memory_bytes", "gauge", "Memory of the host", {"": memory})
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    metric("process_resident_memory_bytes", "gauge", "Memory of the engine", {"": resident})
    metric(
        "process_cpu_seconds_total", "counter", "CPU time of the engine", {"": time.process_time()}
    )
    metric("process_open_fds", "gauge", "Its descriptors", {"": len(os.listdir("/proc/self/fd"))})
    return "\n".join(lines) + "\n"
