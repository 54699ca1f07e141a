import pytest

from sampan.linux import netlink
from sampan.network import errors
from sampan.network.host import HostDriver
from sampan.network.macvlan import IpvlanDriver, MacvlanDriver
from sampan.network.none import NoneDriver

from .conftest import OUTSIDE, endpoint, network, new_netns, talk
from .network_driver_contract import NetworkDriverContract

pytestmark = pytest.mark.needs("netns", "nft")


class TestBridge(NetworkDriverContract):
    network = network()

    def driver(self, host):
        return host.driver()


class TestInternalBridge(TestBridge):
    network = network(internal=True)


class TestNone(NetworkDriverContract):
    network = network(driver="none")

    def driver(self, host):
        return NoneDriver()

    def test_only_loopback(self, own_host):
        async def body(host):
            inside = new_netns()
            await NoneDriver().connect(self.network, endpoint(2), inside)
            with netlink.Socket(netns=inside) as sock:
                assert [(link.name, link.up) for link in sock.links()] == [("lo", True)]

        own_host(body)


class TestHost(NetworkDriverContract):
    network = network(driver="host")

    def driver(self, host):
        return HostDriver()


def test_a_failed_connect_leaves_nothing_and_says_where(own_host):
    async def body(host):
        driver, net = host.driver(), network()
        await driver.ensure(net)
        before = host.links()
        with pytest.raises(errors.NetworkUnavailable) as caught:
            await driver.connect(
                net, endpoint(2, ipv4="203.0.113.5", mac="02:42:00:00:00:05"), new_netns()
            )
        assert "cannot connect container c2 to network net1: netlink: replace route" in str(
            caught.value
        )
        assert host.links() == before

    own_host(body)


def test_a_link_of_another_kind_is_not_taken_for_the_bridge(own_host):
    async def body(host):
        with pytest.raises(errors.NetworkUnavailable, match="uplink is a link of another kind"):
            await host.driver().ensure(network(bridge="uplink"))
        assert "uplink" in host.links()

    own_host(body)


class TestMacvlan(NetworkDriverContract):
    network = network(driver="macvlan", bridge="", parent="uplink")

    def driver(self, host):
        return MacvlanDriver()


def test_macvlan_containers_are_on_the_hosts_segment(own_host):
    async def body(host):
        segment = network(driver="macvlan", bridge="", parent="uplink", subnet="198.51.100.0/24",
                          gateway=OUTSIDE)  # fmt: skip
        driver, one, two = MacvlanDriver(), new_netns(), new_netns()
        await driver.ensure(segment)
        await driver.connect(segment, endpoint(2, ipv4="198.51.100.50"), one)
        await driver.connect(segment, endpoint(3, ipv4="198.51.100.51"), two)
        assert talk(one, (OUTSIDE, 80), host.outside, 80) == "198.51.100.50"
        assert talk(host.outside, ("198.51.100.51", 80), two, 80) == OUTSIDE
        assert talk(one, ("198.51.100.51", 80), two, 80) == "198.51.100.50"

    own_host(body)


@pytest.mark.parametrize(
    ("driver", "changes", "message"),
    [
        (MacvlanDriver, {}, "needs a parent interface: -o parent=INTERFACE"),
        (MacvlanDriver, {"parent": "nosuch0"}, "the parent interface nosuch0 does not exist"),
        (MacvlanDriver, {"parent": "uplink", "parent_mode": "l9"}, "unknown macvlan mode l9"),
        (IpvlanDriver, {"parent": "uplink", "parent_mode": "x"}, "there are l2, l3, l3s"),
    ],
)
def test_a_segment_that_cannot_be_says_why(own_host, driver, changes, message):
    async def body(host):
        with pytest.raises((errors.InvalidNetwork, errors.NetworkUnavailable), match=message):
            await driver().ensure(network(driver=driver.kind, bridge="", **changes))

    own_host(body)


def test_a_kernel_without_ipvlan_is_named(own_host):
    async def body(host):
        segment = network(driver="ipvlan", bridge="", parent="uplink")
        inside = new_netns()
        said = ""
        try:
            await IpvlanDriver().connect(segment, endpoint(2), inside)
        except errors.NetworkUnavailable as refused:
            said = str(refused)
        with netlink.Socket(netns=inside) as sock:
            link = sock.link("eth0")
        assert "this kernel lacks what ipvlan needs" in said if link is None else not said

    own_host(body)
