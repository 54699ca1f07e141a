"""The bridge driver: one Linux bridge a network, one veth pair an endpoint, NAT by `firewall`.

connect is two exchanges with the kernel, a millisecond together: the pair with its host side up
and enslaved, then address and routes through a netlink socket inside the container's namespace.
Deleting a pair costs twenty, so a container that died is not disconnected: its namespace, once
empty, takes the pair along in the background.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from sampan.kit.threads import in_thread
from sampan.linux import netlink, sysctl
from sampan.network import errors, inside
from sampan.network.driver import Endpoint, Network, NetworkDriver, host_side, mac_of

if TYPE_CHECKING:
    from sampan.network.firewall import Firewall


_LINK_LOCAL = "fe80::1"  # of every bridge with IPv6, as Docker's


class BridgeDriver(NetworkDriver):
    """Works in the network namespace of the thread that made it. `close` when done."""

    def __init__(self, firewall: Firewall) -> None:
        self.firewall = firewall
        self._host = netlink.Socket()
        self._indices: dict[str, int] = {}

    def close(self) -> None:
        self._host.close()

    async def ensure(self, network: Network) -> None:
        try:
            self._ensure_link(network)
            _ensure_sysctls(network)
        except OSError as e:
            raise _unavailable(network, e) from e
        await self.firewall.add_network(network)

    async def remove(self, network: Network) -> None:
        await self.firewall.remove_network(network)
        self._indices.pop(network.bridge, None)
        await _delete(network, network.bridge)

    async def connect(self, network: Network, endpoint: Endpoint, netns: int) -> None:
        name = host_side(network, endpoint)
        try:
            self._plug(network, endpoint, netns, name)
            try:
                inside.configure(network, endpoint, netns)
                self._settle(network, name)
            except BaseException:
                self._host.send(netlink.del_link(name))
                raise
        except OSError as e:
            raise _unavailable(network, e, f"connect container {endpoint.name}") from e

    async def disconnect(self, network: Network, endpoint: Endpoint, netns: int) -> None:
        await _delete(network, host_side(network, endpoint))

    def _ensure_link(self, network: Network) -> None:
        link = self._host.link(network.bridge)
        if link is None:
            gateway = network.gateway or network.gateway6
            mac = mac_of(gateway) if gateway else None
            self._host.send(netlink.add_bridge(network.bridge, mac=mac, mtu=network.mtu))
            link = self._host.link(network.bridge)
            assert link is not None
        elif link.kind != "bridge":
            raise OSError(errno.EEXIST, f"{network.bridge} is a link of another kind")
        elif not link.up or (network.mtu and link.mtu != network.mtu):
            self._host.send(netlink.set_link(network.bridge, up=True, mtu=network.mtu))
        for gateway, subnet, mode, wanted in (
            (network.gateway, network.subnet, network.mode, network.addressed),
            (network.gateway6, network.subnet6, network.mode6, True),
        ):
            if gateway and wanted and mode != "isolated":
                self._ensure_address(link.index, gateway, int(subnet.partition("/")[2]))
        if network.gateway6 and network.mode6 != "isolated":
            # Solicitations for forwarded packets come from a link-local address; the one that the
            # kernel makes is tentative for a second (RFC 4862), and the first packets were lost.
            self._ensure_address(link.index, _LINK_LOCAL, 64)
        self._indices[network.bridge] = link.index

    def _ensure_address(self, index: int, address: str, prefix: int) -> None:
        try:
            self._host.send(netlink.add_address(index, address, prefix))
        except OSError as e:
            if e.errno != errno.EEXIST:
                raise

    def _plug(self, network: Network, endpoint: Endpoint, netns: int, name: str) -> None:
        """The veth pair. A left-over of that name (a start that died half-way) is replaced."""
        # Hairpin: with br_netfilter a frame translated to its own sender goes back out of the
        # port it came from (br_netfilter_hooks.c, "case 1").
        index = self._indices.get(network.bridge) or self._index(network)
        requests = (
            netlink.add_veth(
                name,
                peer=endpoint.interface,
                peer_netns=netns,
                peer_mac=endpoint.mac or mac_of(endpoint.ipv4 or endpoint.ipv6),
                master=index,
                mtu=network.mtu,
            ),
            netlink.set_port(name, hairpin=True, isolated=not network.icc),
        )
        try:
            self._host.send(*requests)
        except OSError as e:
            if self._host.link(name) is None:
                raise
            self._host.send(netlink.del_link(name))
            if e.errno != errno.EEXIST:
                raise
            self._host.send(*requests)

    def _settle(self, network: Network, name: str) -> None:
        """Wait until both links really carry frames.

        A carrier that comes on is acted on by a worker (net/core/link_watch.c); until then the
        port does not forward and the bridge drops what the host sends: ARP answers, so the first
        connection would take a second. Asking for a link makes its turn come now (kernel 6.9).
        """
        self._host.link(name)
        self._host.link(network.bridge)

    def _index(self, network: Network) -> int:
        link = self._host.link(network.bridge)
        if link is None:
            raise OSError(errno.ENODEV, f"the bridge {network.bridge} is gone")
        self._indices[network.bridge] = link.index
        return link.index


async def _delete(network: Network, name: str) -> None:
    """In a thread, with a socket of its own: the kernel waits for its readers, about 20 ms."""
    try:
        await in_thread(_delete_now, name)
    except OSError as e:
        if e.errno != errno.ENODEV:
            raise _unavailable(network, e) from e


def _delete_now(name: str) -> None:
    with netlink.Socket() as sock:
        sock.send(netlink.del_link(name))


def _ensure_sysctls(network: Network) -> None:
    """Let 127.0.0.1 of the host be translated to the bridge; `firewall` guards the way back."""
    if network.subnet:
        sysctl.ensure(f"net/ipv4/conf/{network.bridge}/route_localnet", "1")
    name = f"net/ipv6/conf/{network.bridge}/disable_ipv6"
    if network.hidden:  # the kernel gives every link a link-local address
        sysctl.ensure(name, "1")
    elif network.subnet6:
        sysctl.ensure(name, "0")


def _unavailable(network: Network, error: OSError, doing: str = "") -> errors.NetworkUnavailable:
    doing = f"cannot {doing} to" if doing else "cannot set up"
    return errors.NetworkUnavailable(f"{doing} network {network.name}: {error.strerror}")
