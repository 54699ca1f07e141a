"""`top`: the container's processes, by the host's ps(1) as Docker does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.linux import cgroup

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container


async def top(container: Container, arguments: str = "") -> dict[str, Any]:
    container.require_running()
    pids = await in_thread(cgroup.manager(container.cgroup).pids)
    words = arguments.split() or ["-ef"]
    try:
        ps = await asyncio.create_subprocess_exec(
            "ps", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    except FileNotFoundError as missing:
        message = "top needs ps, which this host lacks (apt install procps)"
        raise errors.Unsupported(message) from missing
    output, complaint = await ps.communicate()
    if ps.returncode:
        why = complaint.decode(errors="replace").strip().splitlines() or ["it failed"]
        raise errors.InvalidArgument(f"ps: {why[0]}")
    answer = select(output.decode(errors="replace"), pids)
    container.event("top")
    return answer


def select(output: str, pids: list[int]) -> dict[str, Any]:
    """The lines of ps(1) about these processes, split into the columns of its title."""
    lines = output.splitlines()
    titles = lines[0].split()
    if "PID" not in titles:
        raise errors.InvalidArgument("Couldn't find PID field in ps output")
    column, wanted = titles.index("PID"), set(map(str, pids))
    processes = []
    for line in lines[1:]:
        fields = line.split(None, len(titles) - 1)
        if len(fields) > column and fields[column] in wanted:
            processes.append(fields)
    return {"Titles": titles, "Processes": processes}
