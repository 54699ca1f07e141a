"""`network connect` and `disconnect`: a container's networks after it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.engine import network_options
from sampan.engine.containers import addresses
from sampan.engine.errors import NotPermitted
from sampan.kit import errors

if TYPE_CHECKING:
    from sampan.engine.containers.container import Container
    from sampan.engine.engine import Engine
    from sampan.engine.network_info import NetworkInfo


async def connect(engine: Engine, name: str, container_name: str, settings: dict[str, Any]) -> None:
    """Join a container to a network, at once if it runs."""
    info, container = engine.networks.get(name), engine.containers.get(container_name)
    _check_sharing(info, container)
    addresses.check_one(engine, info.name, settings)
    network_options.check_endpoint(settings)
    async with container.lock:
        if info.name in container.networking or info.id in container.networking:
            raise NotPermitted(
                f"endpoint with name {container.name} already exists in network {info.name}"
            )
        main = container.network_mode() in (info.name, info.id)
        if main and not settings.get("MacAddress") and container.config.get("MacAddress"):
            settings = {**settings, "MacAddress": container.config["MacAddress"]}
        container.networking[info.name] = settings  # where the names' side looks for its links
        try:
            if container.running:
                await engine.endpoints.attach(container, info, settings)
        except BaseException:
            del container.networking[info.name]
            raise
        container.save_settings()


async def disconnect(
    engine: Engine, name: str, container_name: str, *, force: bool = False
) -> None:
    """Take a container off a network."""
    info = engine.networks.get(name)
    try:
        container = engine.containers.get(container_name)
    except errors.NotFound:
        if force:
            return
        raise
    async with container.lock:
        known = next((n for n in (info.name, info.id) if n in container.networking), None)
        if known is None:
            raise NotPermitted(f"container {container.id} is not connected to network {info.name}")
        if container.running:
            await engine.endpoints.detach(container, info)
        del container.networking[known]
        container.save_settings()


def _check_sharing(info: NetworkInfo, container: Container) -> None:
    """Who is alone, in the host's namespace or in another's stays there."""
    mode = container.network_mode()
    if mode.startswith("container:") or mode == "host":
        raise errors.InvalidArgument(
            "container sharing network namespace with another container or host cannot be "
            "connected to any other network"
        )
    if info.driver == "host":
        raise errors.InvalidArgument(
            "cannot connect container to host network - container must be created in host "
            "network mode"
        )
    if info.driver == "null" or mode == "none":
        raise errors.InvalidArgument(
            "container cannot be connected to multiple networks with one of the networks in "
            "private (none) mode"
        )
