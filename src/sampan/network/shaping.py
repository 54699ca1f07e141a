"""Rates of a container's interface: a token bucket at each end of its veth pair (tc-tbf(8)).

What the container sends is held up inside its namespace, where it has no privilege to change that;
what it is sent, at the host's side. An interface without a host's side (macvlan, ipvlan) has only
the first.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from sampan.linux import netlink
from sampan.network import errors
from sampan.network.driver import host_side

if TYPE_CHECKING:
    from sampan.network.driver import Endpoint, Network


def shape(network: Network, endpoint: Endpoint, netns: int, *, egress: int, ingress: int) -> None:
    """Bytes a second, 0 for as fast as it goes. Raises NetworkUnavailable, InvalidNetwork."""
    if ingress and network.driver != "bridge":
        raise errors.InvalidNetwork(
            f"network {network.name}: an ingress rate needs a bridge; {network.driver} has no "
            "interface on the host to hold it"
        )
    try:
        if egress:
            with netlink.Socket(netns=netns) as inside:
                _limit(inside, endpoint.interface, egress)
        if ingress:
            with netlink.Socket() as host:
                _limit(host, host_side(network, endpoint), ingress)
    except OSError as e:
        words = e.strerror or str(e)
        if e.errno == errno.ENOENT:
            words = "this kernel has no tbf queueing discipline (CONFIG_NET_SCH_TBF)"
        raise errors.NetworkUnavailable(
            f"cannot limit the rate of container {endpoint.name} on network {network.name}: {words}"
        ) from e


def _limit(sock: netlink.Socket, name: str, rate: int) -> None:
    link = sock.link(name)
    if link is None:
        raise OSError(errno.ENODEV, f"{name} is gone")
    sock.send(netlink.replace_tbf(name, link.index, rate))
