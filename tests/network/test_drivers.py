import pytest

from sampan.linux import netlink
from sampan.network import errors
from sampan.network.host import HostDriver
from sampan.network.none import NoneDriver

from .conftest import endpoint, network, new_netns
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
