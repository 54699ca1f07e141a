"""The overlay driver: one segment over several hosts, a bridge on each and VXLAN between them.

A `shared` network is one that a network store knows (`network.shared`): what is behind the tunnel
is written by `settle`, and the kernel answers for it, so that no question about an address leaves
the host. The other kind is told its peers once:

    sampan network create -d overlay --subnet 10.5.0.0/16 --ip-range 10.5.1.0/24 \\
        -o local=192.0.2.1 -o peers=192.0.2.2,192.0.2.3 -o vni=42 sea

the same on every host, with its own `local`, the other hosts as `peers`, and a part of the subnet
of its own. There a frame to somebody unknown goes to every peer, and who answers from where is
learnt. Frames travel as UDP (RFC 7348), in clear.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from sampan.kit.record import Record
from sampan.linux import netlink
from sampan.network import errors
from sampan.network.bridge import BridgeDriver

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.network.driver import Network

VNI = "com.docker.network.driver.overlay.vxlanid_list"  # option: a shared network's number
PORT = 4789  # of RFC 7348
_HEADERS = 50  # bytes around a frame: Ethernet 14, IPv4 20, UDP 8, VXLAN 8
MTU = 1500 - _HEADERS
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_EVERYBODY = "00:00:00:00:00:00"


class Far(Record):
    """An endpoint on another host: `host` is that host's address."""

    host: str
    mac: str
    addresses: tuple[str, ...]


class OverlayDriver(BridgeDriver):
    """A bridge whose one extra port leads to the other hosts."""

    async def ensure(self, network: Network) -> None:
        await super().ensure(network)
        try:
            if network.local:
                self._ensure_tunnel(network)
        except OSError as e:
            await super().remove(network)
            words = e.strerror or str(e)
            if e.errno == errno.EOPNOTSUPP:
                words = "this kernel has no VXLAN (module vxlan)"
            elif e.errno == errno.EEXIST:
                words = f"another VXLAN of this host has the identifier (vni) {network.vni}"
            elif e.errno == errno.EADDRNOTAVAIL:
                words = f"{network.local} is no address of this host"
            raise errors.NetworkUnavailable(f"cannot set up network {network.name}: {words}") from e

    async def remove(self, network: Network) -> None:
        name = _tunnel(network)
        if self._host.link(name) is not None:
            self._host.send(netlink.del_link(name))
        await super().remove(network)

    def settle(self, network: Network, hosts: Iterable[str], far: Iterable[Far]) -> None:
        """Let the tunnel lead to these hosts and endpoints, and to no others.

        Only what differs is written. Raises NetworkUnavailable.
        """
        link = self._host.link(_tunnel(network))
        if link is None:
            return  # alone, or not set up here
        index, far = link.index, tuple(far)
        wanted, behind = _entries(far)
        wanted |= {(_EVERYBODY, host) for host in hosts}
        try:
            found = self._host.neighbours(netlink.AF_BRIDGE, index)
            held = {(one.mac, one.address) for one in found}
            known = {
                (one.address, one.mac)
                for family in _FAMILIES
                for one in self._host.neighbours(family, index)
            }
            lost = {address for address, _ in known} - {address for address, _ in behind}
            self._host.send(
                *(netlink.del_forwarding(index, *one) for one in held - wanted),
                *(netlink.del_neighbour(index, address) for address in lost),
                *(netlink.add_forwarding(index, *one) for one in wanted - held),
                *(netlink.add_neighbour(index, *one) for one in behind - known),
            )
        except OSError as e:
            raise _untold(network, e) from e

    def tell(
        self, network: Network, *, gone: Iterable[Far], come: Iterable[Far], stay: Iterable[Far]
    ) -> None:
        """What has changed since the last `settle`; `stay` are others' that have the same MAC or
        address as one that is gone.

        The kernel is asked for nothing, so this costs what has changed. Raises NetworkUnavailable
        where something else stands there than was told; `settle` puts it right.
        """
        link = self._host.link(_tunnel(network))
        if link is None:
            return
        index, come = link.index, tuple(come)
        held, known = _entries([*stay, *come])
        lost, unknown = _entries(gone)
        new, new_known = _entries(come)
        addresses = {address for address, _ in known}
        try:
            self._host.send(
                *(netlink.del_forwarding(index, *one) for one in lost - held),
                *(
                    netlink.del_neighbour(index, address)
                    for address, _ in unknown
                    if address not in addresses
                ),
                *(netlink.add_forwarding(index, *one) for one in new),
                *(netlink.add_neighbour(index, *one) for one in new_known),
            )
        except OSError as e:
            raise _untold(network, e) from e

    def _ensure_tunnel(self, network: Network) -> None:
        """One that stands is left alone, unless this host has another address now."""
        name = _tunnel(network)
        link = self._host.link(name)
        if link is not None:
            if not network.shared or link.alias == network.local:
                return
            self._host.send(netlink.del_link(name))
        held = {a.address for family in _FAMILIES for a in self._host.addresses(family)}
        if network.local not in held:
            raise OSError(errno.EADDRNOTAVAIL, "not an address of this host")
        self._host.send(
            netlink.add_vxlan(
                name,
                number=network.vni,
                local=network.local,
                port=PORT,
                told=network.shared,
                mtu=network.mtu,
            )
        )
        link, bridge = self._host.link(name), self._host.link(network.bridge)
        assert link is not None
        assert bridge is not None
        try:
            self._host.send(
                *(netlink.add_forwarding(link.index, _EVERYBODY, peer) for peer in network.peers),
                netlink.set_alias(name, network.local),
                netlink.set_link(name, master=bridge.index, up=True),
            )
        except BaseException:
            self._host.send(netlink.del_link(name))
            raise


def _entries(far: Iterable[Far]) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """(MAC, host) of the forwarding table, (address, MAC) of the neighbours'."""
    far = tuple(far)
    forwarding = {(one.mac, one.host) for one in far}
    return forwarding, {(address, one.mac) for one in far for address in one.addresses}


def _untold(network: Network, error: OSError) -> errors.NetworkUnavailable:
    return errors.NetworkUnavailable(
        f"cannot tell network {network.name} who is on other hosts: {error.strerror}"
    )


def _tunnel(network: Network) -> str:
    return f"smpv-{network.id[:9]}"
