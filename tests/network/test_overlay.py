"""An overlay over three hosts: three namespaces on one wire, one of them cut off and back."""

import socket

import pytest

from sampan.linux import netlink, netns
from sampan.linux.nft import Nft
from sampan.network import errors
from sampan.network.driver import Endpoint, Network, mac_of
from sampan.network.firewall import Firewall
from sampan.network.overlay import Far, OverlayDriver

from .conftest import new_netns, talk

pytestmark = pytest.mark.needs("netns", "nft", "vxlan")
WIRE = "203.0.113."


def at_once(where: int, coroutine) -> None:
    """Run what awaits nothing in that host's namespace."""
    with netns.entered(where), pytest.raises(StopIteration):
        coroutine.send(None)


class Computer:
    """A host with an address on the wire, the overlay's part 10.79.N.0/24, and one container."""

    def __init__(
        self, number: int, wire: netlink.Socket, bridge: int, *, shared: bool = False
    ) -> None:
        self.number, self.space, self.port = number, new_netns(), f"port{number}"
        mac = f"02:00:00:00:01:{number:02x}"
        wire.send(
            netlink.add_veth(
                self.port, peer="eth0", peer_netns=self.space, peer_mac=mac, master=bridge
            )
        )
        with netlink.Socket(netns=self.space) as inside:
            link = inside.link("eth0")
            inside.send(
                netlink.set_link("lo", up=True),
                netlink.set_link("eth0", up=True),
                netlink.add_address(link.index, f"{WIRE}{number}", 24),
            )
        peers = tuple(f"{WIRE}{n}" for n in (1, 2, 3) if n != number)
        self.network = Network(
            id=f"{number:064x}",
            name="sea",
            driver="overlay",
            subnet="10.79.0.0/16",
            gateway="10.79.0.1" if shared else f"10.79.{number}.1",
            shared=shared,
            bridge="sea0",
            mtu=1450,
            vni=42,
            local=f"{WIRE}{number}",
            peers=() if shared else peers,
        )
        with netns.entered(self.space):
            self.driver = OverlayDriver(Firewall("smptest", Nft()))
        at_once(self.space, self.driver.ensure(self.network))
        self.address = f"10.79.{number}.2"
        self.container = new_netns()
        endpoint = Endpoint(container_id=f"{number:064d}", name="c", ipv4=self.address, prefix=16)
        at_once(self.space, self.driver.connect(self.network, endpoint, self.container))

    def settle(self, *others: "Computer") -> None:
        far = [
            Far(host=c.network.local, mac=mac_of(c.address), addresses=(c.address,)) for c in others
        ]
        self.driver.settle(self.network, [one.host for one in far], far)

    def entries(self) -> set:
        """What its tunnel was told."""
        with netlink.Socket(netns=self.space) as sock:
            index = sock.link(f"smpv-{self.network.id[:9]}").index
            families = (netlink.AF_BRIDGE, socket.AF_INET)
            return {
                (e.address, e.mac) for family in families for e in sock.neighbours(family, index)
            }

    def reaches(self, other: "Computer", patience: float = 2) -> bool:
        """A loaded machine needs its time; who expects a no says how little."""
        try:
            talk(self.container, (other.address, 80), other.container, 80, patience=patience)
        except OSError:
            return False
        return True


def three_computers(*, shared: bool = False) -> tuple[netlink.Socket, list[Computer]]:
    wire = netlink.Socket()
    wire.send(netlink.add_bridge("wire"))
    bridge = wire.link("wire")
    return wire, [Computer(number, wire, bridge.index, shared=shared) for number in (1, 2, 3)]


def test_three_hosts_and_one_cut_off_and_back(own_host):
    async def body(_host):
        wire, (one, two, three) = three_computers()
        pairs = [(a, b) for a in (one, two, three) for b in (one, two, three) if a is not b]
        assert all(a.reaches(b) for a, b in pairs)
        wire.send(netlink.set_link(three.port, up=False))
        assert not one.reaches(three, 0.3)
        assert not three.reaches(two, 0.3)
        assert one.reaches(two)
        at_once(one.space, one.driver.ensure(one.network))  # an engine that restarts meanwhile
        wire.send(netlink.set_link(three.port, up=True))
        wire.link(three.port)
        wire.link("wire")
        assert any(one.reaches(three, 0.3) for _ in range(20))  # ARP has its own patience
        assert all(a.reaches(b) for a, b in pairs)

    own_host(body)


def test_who_is_told_reaches_and_nobody_else_does(own_host):
    async def body(_host):
        _, (one, two, three) = three_computers(shared=True)
        assert not one.reaches(two, 0.3)
        for here in (one, two, three):
            here.settle(*(c for c in (one, two, three) if c is not here))
        pairs = [(a, b) for a in (one, two, three) for b in (one, two, three) if a is not b]
        assert all(a.reaches(b) for a, b in pairs)
        at_once(one.space, one.driver.ensure(one.network))
        one.settle(two)
        assert one.entries() == {
            (f"{WIRE}2", "00:00:00:00:00:00"),
            (f"{WIRE}2", "02:42:0a:4f:02:02"),
            ("10.79.2.2", "02:42:0a:4f:02:02"),
        }
        assert one.reaches(two)
        one.settle()
        assert one.entries() == set()

    own_host(body)


def test_a_gateway_on_each_host_is_each_hosts_own(own_host):
    async def body(_host):
        _, (one, two, _three) = three_computers(shared=True)
        one.settle(two)
        two.settle(one)
        for here in (one, two):
            talk(here.container, ("10.79.0.1", 80), here.space, 80)

    own_host(body)


def test_what_cannot_be_is_said_and_leaves_nothing(own_host):
    async def body(host):
        driver = OverlayDriver(Firewall("smptest", host.nft))
        values = {"id": "a" * 64, "name": "sea", "driver": "overlay", "subnet": "10.79.0.0/16"}
        values |= {"gateway": "10.79.1.1", "bridge": "sea0", "vni": 42, "peers": ("192.0.2.2",)}
        before = host.links()
        with pytest.raises(errors.NetworkUnavailable, match=r"192\.0\.2\.1 is no address of this"):
            await driver.ensure(Network(**values, local="192.0.2.1"))
        assert host.links() == before
        good = Network(**values, local="198.51.100.1")
        await driver.ensure(good)
        again = good.replace(id="b" * 64, name="lake", bridge="lake0", subnet="10.80.0.0/16")
        with pytest.raises(errors.NetworkUnavailable, match=r"\(vni\) 42"):
            await driver.ensure(again)
        await driver.remove(good)
        assert host.links() == before

    own_host(body)
