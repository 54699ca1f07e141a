"""The overlay driver: one segment over several hosts, a bridge on each and VXLAN between them.

    sampan network create -d overlay --subnet 10.5.0.0/16 --ip-range 10.5.1.0/24 \\
        -o local=192.0.2.1 -o peers=192.0.2.2,192.0.2.3 -o vni=42 sea

The same on every host, with its own `local`, the other hosts as `peers`, and a part of the subnet
of its own, so that no two hosts give out one address. There is no membership service: peers are
told. A frame to somebody unknown goes to every peer, and who answers from where is learnt; so a
peer that was cut off needs nobody's word when it is back. Frames travel as UDP (RFC 7348), in
clear: `encrypted` is refused. Names are those of the containers on one's own host.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from sampan.linux import netlink
from sampan.network import errors
from sampan.network.bridge import BridgeDriver

if TYPE_CHECKING:
    from sampan.network.driver import Network

PORT = 4789  # of RFC 7348
_HEADERS = 50  # bytes around a frame: Ethernet 14, IPv4 20, UDP 8, VXLAN 8
MTU = 1500 - _HEADERS
_EVERYBODY = "00:00:00:00:00:00"


class OverlayDriver(BridgeDriver):
    """A bridge whose one extra port leads to the other hosts."""

    async def ensure(self, network: Network) -> None:
        await super().ensure(network)
        try:
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

    def _ensure_tunnel(self, network: Network) -> None:
        """One that stands is left alone: what a network is made of never changes."""
        name = _tunnel(network)
        if self._host.link(name) is not None:
            return
        held = {a.address for a in self._host.addresses()}
        if network.local not in held:
            raise OSError(errno.EADDRNOTAVAIL, "not an address of this host")
        self._host.send(
            netlink.add_vxlan(
                name, number=network.vni, local=network.local, port=PORT, mtu=network.mtu
            )
        )
        link, bridge = self._host.link(name), self._host.link(network.bridge)
        assert link is not None
        assert bridge is not None
        try:
            self._host.send(
                *(netlink.add_forwarding(link.index, _EVERYBODY, peer) for peer in network.peers),
                netlink.set_link(name, master=bridge.index, up=True),
            )
        except BaseException:
            self._host.send(netlink.del_link(name))
            raise


def _tunnel(network: Network) -> str:
    return f"smpv-{network.id[:9]}"
