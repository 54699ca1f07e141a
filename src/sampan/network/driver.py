"""The seam behind which every kind of network stands, and its nouns.

A `Network` is a segment that endpoints share; an `Endpoint` is one container's place on it. The
engine owns both as rows of its database and allocates names and addresses (`ipam`); a driver
makes the kernel look like them and keeps no state of its own. So every call is idempotent or says
what it found, and a driver made a second later, by another engine, goes on with the same records.

Life: `ensure` before the first `connect` (and at each engine start, where it leaves alone what is
right); `connect` between "created" and "go" of a container's start, given a descriptor of its
network namespace; `disconnect` when it leaves while running (when it dies, the links die with its
namespace, and `disconnect` is then a no-op); `remove` when the last endpoint is gone. Calls for one
network do not run at the same time; calls for different ones may.

Failures of the kernel come out as `errors.NetworkUnavailable` naming network and container. A
failed `connect` leaves nothing behind.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Protocol

from sampan.kit.record import Record
from sampan.network.policy import Policy

GATEWAY_MODES = ("nat", "nat-unprotected", "routed", "isolated")


class Network(Record):
    """Addresses are text; subnets and gateways are empty where the network has none.

    `mode` and `mode6` say how the outside reaches containers: by translated ports ("nat"), by these
    or at their own addresses ("nat-unprotected"), only at their own ("routed"); an "isolated"
    network has no address of the host's on it.
    """

    id: str
    name: str
    driver: str = "bridge"
    subnet: str = ""  # "172.17.0.0/16"
    gateway: str = ""  # "172.17.0.1"
    subnet6: str = ""  # "fd00:1::/64"
    gateway6: str = ""
    bridge: str = ""  # the interface's name on the host, at most 15 bytes
    internal: bool = False  # no way out, no published ports
    icc: bool = True  # may containers on it talk to each other
    masquerade: bool = True
    mode: str = "nat"
    mode6: str = "nat"
    addressed: bool = True  # the host has the gateway's IPv4 address on the bridge
    mtu: int = 0  # 0: the kernel's default
    bind_address: str = ""  # where ports are published that name no address
    policy: Policy = Policy()  # of everybody's traffic on it
    parent: str = ""  # macvlan, ipvlan: the host's interface
    vni: int = 0  # overlay: the VXLAN's number
    local: str = ""  # overlay: this host's address; "" where there is no other host
    shared: bool = False  # overlay: who is where is told (`OverlayDriver.settle`), not learnt
    peers: tuple[str, ...] = ()  # overlay: the other hosts'
    conflist: str = ""  # cni: the file that names the plugins
    parent_mode: str = ""  # bridge, private, vepa, passthru; l2, l3, l3s

    @property
    def hidden(self) -> bool:
        """The host has no address on it at all."""
        return self.mode == "isolated" and (not self.subnet6 or self.mode6 == "isolated")

    @property
    def bridged(self) -> bool:
        """There is a bridge on the host, so ports are published and rules hold there."""
        return self.driver in ("bridge", "overlay")


class Endpoint(Record):
    container_id: str
    name: str  # the container's, for messages and /etc/hosts
    ipv4: str = ""
    prefix: int = 0
    ipv6: str = ""
    prefix6: int = 0
    mac: str = ""  # "" derives it from the address, `mac_of`
    interface: str = "eth0"
    aliases: tuple[str, ...] = ()
    ports: tuple[tuple[str, int, int, str], ...] = ()  # cni: host address and port, own, protocol
    default_route: bool = True  # through this network, if it is not internal
    default_route6: bool = True
    sysctls: tuple[tuple[str, str], ...] = ()  # of the interface: ("net.ipv4.conf.IFNAME.…", value)


class NetworkDriver(Protocol):
    async def ensure(self, network: Network) -> None:
        """Make the network exist as described; what is right already is not touched."""

    async def remove(self, network: Network) -> None:
        """Take it away; fine if it is gone. Its endpoints must be disconnected."""

    async def connect(self, network: Network, endpoint: Endpoint, netns: int) -> Endpoint | None:
        """Give the namespace its interface, address and routes, all usable on return.

        The endpoint, if its addresses are the driver's own choice.
        """

    async def disconnect(self, network: Network, endpoint: Endpoint, netns: int) -> None:
        """Take the interface away; fine if it is gone."""


def mac_of(address: str) -> str:
    """Docker's rule: 02:42 and the four bytes of the address, so that ARP caches stay right.

    Of an IPv6 address (a network without IPv4) the last four.
    """
    return "02:42:" + ip_address(address).packed[-4:].hex(":")


def host_side(network: Network, endpoint: Endpoint) -> str:
    """The name of a veth's host side: the same for the same container and network."""
    import hashlib

    key = f"{network.id} {endpoint.container_id}".encode()
    return "smp" + hashlib.sha256(key).hexdigest()[:10]
