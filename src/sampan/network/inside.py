"""A container's own side of an endpoint: its interface up, with addresses and routes.

Done through a netlink socket opened in the container's namespace, in one exchange; sysctls need
this thread to be there for a moment. The same for every driver, which has made the link before.
"""

from __future__ import annotations

import errno
import functools
import os
from typing import TYPE_CHECKING

from sampan.linux import netlink, sysctl
from sampan.linux import netns as namespaces
from sampan.network import errors

if TYPE_CHECKING:
    from sampan.network.driver import Endpoint, Network


def configure(network: Network, endpoint: Endpoint, netns: int) -> None:
    """Everything usable on return. Raises OSError, or InvalidNetwork for a sysctl."""
    if endpoint.ipv6 or endpoint.sysctls:
        with namespaces.entered(netns):
            _write_sysctls(endpoint)
    with netlink.Socket(netns=netns) as sock:
        link = sock.link(endpoint.interface)
        if link is None:
            raise OSError(errno.ENODEV, f"{endpoint.interface} is gone")
        requests = []
        if not endpoint.ipv6 and _host_has_ipv6():
            # An IPv4 network has no use for fe80:: either; a hairpin port would reflect the probes.
            requests.append(netlink.no_link_local(endpoint.interface, index=link.index))
        requests += [
            netlink.set_link("lo", up=True),
            netlink.set_link(endpoint.interface, index=link.index, up=True),
        ]
        for address, prefix in (
            (endpoint.ipv4, endpoint.prefix),
            (endpoint.ipv6, endpoint.prefix6),
        ):
            if address:
                requests.append(netlink.add_address(link.index, address, prefix))
        sock.send(*requests, *_routes(network, endpoint, link.index))


def reroute(network: Network, endpoint: Endpoint, netns: int) -> None:
    """This endpoint's default routes in place of whatever stands there."""
    with netlink.Socket(netns=netns) as sock:
        link = sock.link(endpoint.interface)
        if link is not None:
            sock.send(*_routes(network, endpoint, link.index))


def _routes(network: Network, endpoint: Endpoint, index: int) -> list[netlink.Request]:
    found = []
    for wanted, address, gateway, anywhere, mode in (
        (endpoint.default_route, endpoint.ipv4, network.gateway, "0.0.0.0", network.mode),
        (endpoint.default_route6, endpoint.ipv6, network.gateway6, "::", network.mode6),
    ):
        if wanted and address and gateway and not network.internal and mode != "isolated":
            found.append(netlink.replace_route(anywhere, 0, gateway=gateway, index=index))
    return found


def _write_sysctls(endpoint: Endpoint) -> None:
    if endpoint.ipv6:
        for name in ("disable_ipv6", "accept_ra", "accept_dad"):
            sysctl.ensure(f"net/ipv6/conf/{endpoint.interface}/{name}", "0")
        sysctl.ensure("net/ipv6/conf/lo/disable_ipv6", "0")
    for name, value in endpoint.sysctls:
        path = name.replace(".", "/").replace("/IFNAME/", f"/{endpoint.interface}/")
        try:
            sysctl.write(path, value)
        except OSError as e:
            raise errors.InvalidNetwork(
                f"cannot set {name}={value} for {endpoint.name}: {(e.strerror or str(e)).lower()}"
            ) from e


@functools.cache
def _host_has_ipv6() -> bool:
    return os.path.exists("/proc/net/if_inet6")
