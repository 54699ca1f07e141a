"""The macvlan and ipvlan drivers: containers right on the host's own segment, without a bridge.

An endpoint is a sub-interface of the host's `parent`, made in the container's namespace; the router
of that segment is its gateway, and no address of the host's is involved (so the host itself cannot
reach it: the kernel's rule for such links). A parent `eth0.10` that does not exist is made as the
VLAN 10 of eth0, and goes with the network. macvlan has a MAC for each endpoint, ipvlan shares the
parent's.
"""

from __future__ import annotations

import errno

from sampan.linux import netlink
from sampan.network import errors, inside
from sampan.network.driver import Endpoint, Network, NetworkDriver, mac_of

_VLAN_ALIAS = "sampan:"  # who made the link, kept with it by the kernel


class MacvlanDriver(NetworkDriver):
    """Works in the network namespace of the thread that made it."""

    kind = "macvlan"
    modes = netlink.MACVLAN_MODES
    usual_mode = "bridge"

    def __init__(self) -> None:
        self._host = netlink.Socket()

    def close(self) -> None:
        self._host.close()

    async def ensure(self, network: Network) -> None:
        mode = network.parent_mode or self.usual_mode
        if mode not in self.modes:
            raise errors.InvalidNetwork(
                f"unknown {self.kind} mode {mode}; there are {', '.join(self.modes)}"
            )
        if not network.parent:
            raise errors.InvalidNetwork(
                f"a {self.kind} network needs a parent interface: -o parent=INTERFACE"
            )
        try:
            self._parent(network, make=True)
        except OSError as e:
            raise self._unavailable(network, e) from e

    async def remove(self, network: Network) -> None:
        link = self._host.link(network.parent) if network.parent else None
        if link is not None and link.alias == _VLAN_ALIAS + network.id:
            self._host.send(netlink.del_link(network.parent))

    async def connect(self, network: Network, endpoint: Endpoint, netns: int) -> None:
        try:
            parent = self._parent(network, make=False)
            self._host.send(self._request(network, endpoint, netns, parent))
            try:
                inside.configure(network, endpoint, netns)
            except BaseException:
                await self.disconnect(network, endpoint, netns)
                raise
        except OSError as e:
            raise self._unavailable(network, e, f"connect container {endpoint.name}") from e

    async def disconnect(self, network: Network, endpoint: Endpoint, netns: int) -> None:
        with netlink.Socket(netns=netns) as sock:
            link = sock.link(endpoint.interface)
            if link is not None and link.kind == self.kind:
                sock.send(netlink.del_link(endpoint.interface))

    def _request(
        self, network: Network, endpoint: Endpoint, netns: int, parent: int
    ) -> netlink.Request:
        return netlink.add_macvlan(
            endpoint.interface,
            parent=parent,
            mode=network.parent_mode or self.usual_mode,
            netns=netns,
            mac=endpoint.mac or mac_of(endpoint.ipv4 or endpoint.ipv6),
            mtu=network.mtu,
        )

    def _parent(self, network: Network, *, make: bool) -> int:
        """The parent's index."""
        link = self._host.link(network.parent)
        if link is None and make and "." in network.parent:
            self._make_vlan(network)
            link = self._host.link(network.parent)
        if link is None:
            raise OSError(errno.ENODEV, f"the parent interface {network.parent} does not exist")
        return link.index

    def _make_vlan(self, network: Network) -> None:
        above, _, number = network.parent.rpartition(".")
        link = self._host.link(above)
        if link is None or not number.isdecimal() or not 0 < int(number) < 4095:
            return
        self._host.send(
            netlink.add_vlan(network.parent, parent=link.index, number=int(number)),
            netlink.set_alias(network.parent, _VLAN_ALIAS + network.id),
        )

    def _unavailable(
        self, network: Network, error: OSError, doing: str = ""
    ) -> errors.NetworkUnavailable:
        doing = f"cannot {doing} to" if doing else "cannot set up"
        words = error.strerror or str(error)
        if error.errno == errno.EOPNOTSUPP:
            words = f"this kernel lacks what {self.kind} needs ({words})"
        return errors.NetworkUnavailable(f"{doing} network {network.name}: {words}")


class IpvlanDriver(MacvlanDriver):
    kind = "ipvlan"
    modes = netlink.IPVLAN_MODES
    usual_mode = "l2"

    def _request(
        self, network: Network, endpoint: Endpoint, netns: int, parent: int
    ) -> netlink.Request:
        mode = network.parent_mode or self.usual_mode
        return netlink.add_ipvlan(
            endpoint.interface, parent=parent, mode=mode, netns=netns, mtu=network.mtu
        )
