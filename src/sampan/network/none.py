"""`--network none`: a namespace with a loopback interface, and nothing else."""

from __future__ import annotations

from sampan.linux import netlink
from sampan.network.driver import Endpoint, Network, NetworkDriver


class NoneDriver(NetworkDriver):
    async def ensure(self, network: Network) -> None: ...

    async def remove(self, network: Network) -> None: ...

    async def connect(self, network: Network, endpoint: Endpoint, netns: int) -> None:
        with netlink.Socket(netns=netns) as inside:
            inside.send(netlink.set_link("lo", up=True))

    async def disconnect(self, network: Network, endpoint: Endpoint, netns: int) -> None: ...
