"""Published ports of an endpoint: from the engine's bindings to elements of the nft maps.

    reservation = ports.reserve("", 8080, "tcp")        # the socket, for the container's life
    await publish(firewall, network, endpoint, [Binding(host_port=8080, container_port=80)])
    await unpublish(firewall, network, endpoint, bindings)

Connection tracking remembers UDP flows for up to two minutes and would go on sending them to the
old place, so entries of the port (publish) and of the container's address (unpublish) are dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.kit.record import Record
from sampan.linux import conntrack
from sampan.network.rules import Published

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.network.driver import Endpoint, Network
    from sampan.network.firewall import Firewall


class Binding(Record):
    """`-p host_ip:host_port:container_port/protocol`, with the port that was really reserved."""

    host_ip: str = ""
    host_port: int
    container_port: int
    protocol: str = "tcp"


async def publish(
    firewall: Firewall, network: Network, endpoint: Endpoint, bindings: Iterable[Binding]
) -> None:
    """Translate the host's ports to the endpoint. An internal network publishes nothing."""
    wanted = published(network, endpoint, bindings)
    firewall.publish(wanted)
    for item in wanted:
        if item.protocol == "udp" and item.translate:
            conntrack.flush_udp_port(item.host_port)


async def unpublish(
    firewall: Firewall, network: Network, endpoint: Endpoint, bindings: Iterable[Binding]
) -> None:
    """Take them away; other containers' translations stay, also on the same port."""
    old = published(network, endpoint, bindings)
    firewall.unpublish(old)
    for address in {item.container_ip for item in old if item.protocol == "udp"}:
        conntrack.flush_address(address)


def published(network: Network, endpoint: Endpoint, bindings: Iterable[Binding]) -> list[Published]:
    """The translations that `Firewall.reconcile` wants to hear about, for each address it has."""
    if network.internal:
        return []
    ways = ((endpoint.ipv4, network.mode), (endpoint.ipv6, network.mode6))
    return [
        Published(
            host_ip=b.host_ip,
            host_port=b.host_port,
            protocol=b.protocol,
            container_ip=address,
            container_port=b.container_port,
            translate=mode != "routed",
        )
        for b in bindings
        for address, mode in ways
        if address and mode != "isolated"
    ]
