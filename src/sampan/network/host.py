"""`--network host`: the container has no namespace of its own, so there is nothing to do."""

from __future__ import annotations

from sampan.network.driver import Endpoint, Network, NetworkDriver


class HostDriver(NetworkDriver):
    async def ensure(self, network: Network) -> None: ...

    async def remove(self, network: Network) -> None: ...

    async def connect(self, network: Network, endpoint: Endpoint, netns: int) -> None: ...

    async def disconnect(self, network: Network, endpoint: Endpoint, netns: int) -> None: ...
