"""A start's connection to its monitor, begun before all is known that the container needs.

    connection = await open(container, checkpoint)    # None where that has to be known first
    …config.json is made meanwhile…
    connection = await send(container, connection, request, descriptors)

The monitor clones PID 1 as soon as it knows the cgroup, while the engine writes files and makes the
request. Where that turns out to ask for somebody outside after all, it is begun anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.engine import runtimes, user_namespaces
from sampan.shim import eligible, protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.containers.container import Container
    from sampan.engine.monitors import Connection


async def open(container: Container, checkpoint: str) -> Connection | None:
    """None where the whole request has to be seen first."""
    if checkpoint or not _looks_eligible(container):
        return None
    connection = await container.engine.spawner.connect()
    await connection.send(protocol.start(container.cgroup))
    return connection


def _looks_eligible(container: Container) -> bool:
    host = container.host_config
    return (
        eligible.is_plain(container.cgroup)
        and not runtimes.words(container)
        and user_namespaces.of(container) is None
        and not host.get("PidMode")
        and not (host.get("IpcMode") or "").startswith("container:")
        and not host.get("DeviceRequests")
        and not eligible.is_tight(host.get("Memory") or 0)
        and not any("seccomp" in option for option in host.get("SecurityOpt") or ())
    )


async def send(
    container: Container,
    connection: Connection | None,
    request: protocol.Start,
    descriptors: Sequence[int],
) -> Connection:
    """The request, over the connection that it went well with."""
    direct = eligible.cgroup(request)
    if connection is not None and not direct:
        await connection.finish()
        connection = None
    if connection is None:
        connection = await container.engine.spawner.connect()
        await connection.send(protocol.start(direct))
    await connection.send(request.message(), descriptors)
    return connection
