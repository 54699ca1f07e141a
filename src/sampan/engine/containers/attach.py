"""`attach` and `resize`: the client's socket goes to the monitor and is no longer ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.engine import monitors
from sampan.engine.errors import IsPaused
from sampan.kit import errors
from sampan.shim import protocol

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container
    from sampan.engine.monitors import Client


def check(container: Container) -> None:
    """What is refused before the connection is taken over."""
    if container.status == "paused":
        raise IsPaused(container.name, "attach")
    if container.status == "restarting":
        raise errors.Conflict(
            f"Container {container.id} is restarting, wait until the container is running"
        )


async def attach(container: Container, client: Client) -> None:
    """Hand the client over; before the start it waits in the engine, in order."""
    container.event("attach")
    if not container.running:
        container.waiting.append(client)
        return
    await _hand_over(container, client)


async def late(container: Container) -> None:
    """Those who came while the start was under way: too late for it, too early for the monitor."""
    clients, container.waiting = container.waiting, []
    for client in clients:
        try:
            await _hand_over(container, client)
        except errors.SampanError:
            pass  # it has ended meanwhile, and the client's stream with it


async def _hand_over(container: Container, client: Client) -> None:
    try:
        await monitors.ask(
            container.engine.paths.monitor_socket(container.id),
            protocol.attach(client.attach),
            [client.socket.fileno()],
        )
    finally:
        client.socket.close()


async def resize(container: Container, rows: int, columns: int) -> None:
    container.require_running()
    await monitors.ask(
        container.engine.paths.monitor_socket(container.id), protocol.resize(rows, columns)
    )
    container.event("resize", height=str(rows), width=str(columns))
