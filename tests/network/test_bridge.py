import os

import pytest

from sampan.linux import netlink, netns
from sampan.network.publish import Binding, publish, unpublish

from .conftest import HOST, OUTSIDE, blocked, endpoint, network, new_netns, sock, talk

pytestmark = pytest.mark.needs("netns", "nft")


@pytest.fixture(params=["0", "1"], ids=["plain", "br_netfilter"])
def br_netfilter(request):
    """The same must work whether bridged frames pass iptables (dockerd loads br_netfilter)."""

    def set_it():
        path = "/proc/sys/net/bridge/bridge-nf-call-iptables"
        if os.path.exists(path):
            with open(path, "w") as file:
                file.write(request.param)

    return set_it


def test_connect_gives_the_container_its_interface_address_and_routes(own_host):
    async def body(host):
        driver, net, end = host.driver(), network(mtu=1400), endpoint(5)
        inside = new_netns()
        await driver.ensure(net)
        await driver.connect(net, end, inside)
        with netlink.Socket(netns=inside) as sock:
            eth0 = sock.link("eth0")
            assert (eth0.mac, eth0.mtu, eth0.up) == ("02:42:0a:4d:01:05", 1400, True)
            assert sock.link("lo").up
            assert "eth0" not in _ipv6_interfaces(inside)
            held = [(a.address, a.prefix) for a in sock.addresses() if a.index == eth0.index]
            assert held == [("10.77.1.5", 24)]
            routes = [r for r in sock.routes() if r.table == 254]
            assert [(r.destination, r.gateway) for r in routes if r.prefix == 0] == [
                ("0.0.0.0", "10.77.1.1")
            ]
        await driver.disconnect(net, end, inside)
        with netlink.Socket(netns=inside) as sock:
            assert sock.link("eth0") is None
        await driver.disconnect(net, end, inside)

    own_host(body)


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_published_port_is_reachable_from_everywhere(own_host, br_netfilter, kind):
    async def body(host):
        br_netfilter()
        driver, net, web, other = host.driver(), network(), endpoint(2), endpoint(3)
        inside, beside = new_netns(), new_netns()
        await driver.ensure(net)
        await driver.connect(net, web, inside)
        await driver.connect(net, other, beside)
        bindings = [Binding(host_port=8080, container_port=80, protocol=kind)]
        await publish(driver.firewall, net, web, bindings)
        assert talk(host.outside, (HOST, 8080), inside, 80, kind) == OUTSIDE
        assert talk(host.here, ("127.0.0.1", 8080), inside, 80, kind) == net.gateway
        assert talk(host.here, (HOST, 8080), inside, 80, kind)
        assert talk(host.here, (net.gateway, 8080), inside, 80, kind)
        assert talk(beside, (HOST, 8080), inside, 80, kind)
        assert talk(beside, (net.gateway, 8080), inside, 80, kind)
        assert talk(inside, (HOST, 8080), inside, 80, kind)  # hairpin
        await unpublish(driver.firewall, net, web, bindings)
        with pytest.raises(OSError):
            talk(host.outside, (HOST, 8080), inside, 80, kind, patience=0.3)

    own_host(body)


def test_containers_reach_the_outside_behind_the_hosts_address(own_host):
    async def body(host):
        driver, net, inside = host.driver(), network(), new_netns()
        await driver.ensure(net)
        await driver.connect(net, endpoint(2), inside)
        assert talk(inside, (OUTSIDE, 53), host.outside, 53, "udp") == HOST
        assert talk(inside, (OUTSIDE, 80), host.outside, 80) == HOST

    own_host(body)


def test_everything_goes_with_the_last_network(own_host):
    async def body(host):
        before = host.ruleset(), host.links(), _sysctl("ip_forward")
        driver, net, inside = host.driver(), network(), new_netns()
        await driver.ensure(net)
        await driver.connect(net, endpoint(2), inside)
        assert _sysctl("ip_forward") == "1"
        await driver.disconnect(net, endpoint(2), inside)
        await driver.remove(net)
        assert (host.ruleset(), host.links(), _sysctl("ip_forward")) == before
        await driver.remove(net)

    own_host(body)


def test_isolation(own_host, br_netfilter):
    async def body(host):
        br_netfilter()
        driver = host.driver()
        nets = [network(1), network(2), network(3, internal=True), network(4, icc=False)]
        where = {}
        for n, net in enumerate(nets, 1):
            await driver.ensure(net)
            for last in (2, 3):
                where[n, last] = new_netns()
                await driver.connect(net, endpoint(last, n), where[n, last])
        with netlink.Socket(netns=host.outside) as sock:  # a neighbour that knows the way in
            sock.send(netlink.add_route("10.77.0.0", 16, gateway=HOST))
        assert talk(where[1, 2], ("10.77.1.3", 80), where[1, 3], 80)
        assert talk(where[3, 2], ("10.77.3.3", 80), where[3, 3], 80)
        assert talk(host.here, ("10.77.3.3", 80), where[3, 3], 80)
        assert blocked(where[1, 2], ("10.77.2.2", 80))
        assert blocked(where[4, 2], ("10.77.4.3", 80))
        assert blocked(host.outside, ("10.77.1.2", 80))
        with netlink.Socket(netns=where[3, 2]) as sock:
            assert not [r for r in sock.routes() if r.prefix == 0]
            sock.send(netlink.add_route("0.0.0.0", 0, gateway="10.77.3.1"))
        assert blocked(where[3, 2], (OUTSIDE, 80))
        assert blocked(where[3, 2], ("10.77.1.2", 80))
        bindings = [Binding(host_port=8080, container_port=80)]
        await publish(driver.firewall, nets[0], endpoint(2, 1), bindings)
        assert talk(where[2, 2], (HOST, 8080), where[1, 2], 80) == "10.77.2.2"

    own_host(body)


def test_containers_cannot_reach_what_listens_on_the_hosts_loopback(own_host):
    async def body(host):
        driver, net, inside = host.driver(), network(), new_netns()
        await driver.ensure(net)
        await driver.connect(net, endpoint(2), inside)
        with netlink.Socket(netns=inside) as sock:  # CVE-2020-8558
            sock.send(netlink.del_address(1, "127.0.0.1", 8))
            sock.send(netlink.add_route("127.0.0.0", 8, gateway=net.gateway))
        assert not _arrives(inside, host, patience=0.2)
        host.nft.run("flush chain inet smptest guard")
        assert _arrives(inside, host)  # so the attack is a real one

    own_host(body)


def test_a_left_over_of_a_start_that_died_is_replaced(own_host):
    async def body(host):
        driver, net, end = host.driver(), network(), endpoint(2)
        await driver.ensure(net)
        first, second = new_netns(), new_netns()
        await driver.connect(net, end, first)
        await driver.connect(net, end, second)
        assert talk(host.here, ("10.77.1.2", 80), second, 80) == net.gateway

    own_host(body)


def test_a_container_on_two_networks(own_host):
    async def body(host):
        driver, inside, neighbour = host.driver(), new_netns(), new_netns()
        one, two = network(1), network(2)
        await driver.ensure(one)
        await driver.ensure(two)
        await driver.connect(one, endpoint(2, 1), inside)
        await driver.connect(two, endpoint(3, 2), neighbour)
        second = endpoint(2, 2, interface="eth1", default_route=False)
        await driver.connect(two, second, inside)
        assert talk(inside, ("10.77.2.3", 80), neighbour, 80) == "10.77.2.2"
        assert talk(inside, (OUTSIDE, 80), host.outside, 80) == HOST
        await driver.disconnect(two, second, inside)
        assert blocked(inside, ("10.77.2.3", 80))
        assert talk(inside, (OUTSIDE, 80), host.outside, 80) == HOST

    own_host(body)


def test_the_default_route_may_be_on_the_second_network(own_host):
    async def body(host):
        driver, inside = host.driver(), new_netns()
        for n in (1, 2):
            await driver.ensure(network(n))
            end = endpoint(2, n, interface=f"eth{n - 1}", default_route=n == 2)
            await driver.connect(network(n), end, inside)
        with netlink.Socket(netns=inside) as s:
            assert [r.gateway for r in s.routes() if not r.prefix] == ["10.77.2.1"]

    own_host(body)


@pytest.mark.skipif(
    float(os.environ.get("SAMPAN_TEST_SLOWNESS", 1)) > 1,
    reason="a machine this slow loses half a second by itself",
)
def test_the_first_packet_gets_through(own_host):
    """The kernel activates links in the background; a lost ARP answer would cost a second."""

    async def body(host):
        driver = host.driver()
        for n in range(1, 30):
            net, inside = network(n), new_netns()
            await driver.ensure(net)
            await driver.connect(net, endpoint(2, n), inside)
            talk(inside, (net.gateway, 53), host.here, 53, "udp", patience=0.5)

    own_host(body)


def test_ensure_leaves_what_is_right_alone(own_host):
    async def body(host):
        net = network()
        await host.driver().ensure(net)
        before = _handles(host)
        await host.driver().ensure(net)
        assert _handles(host) == before

    own_host(body)


def _arrives(inside, host, patience=5):
    with sock(host.here, "udp", "127.0.0.1", 2375) as server, sock(inside, "udp") as client:
        client.sendto(b"x", ("127.0.0.1", 2375))
        server.settimeout(patience)
        try:
            return server.recv(9) == b"x"
        except TimeoutError:
            return False


def _ipv6_interfaces(inside):
    with netns.entered(inside), open("/proc/thread-self/net/if_inet6") as file:
        return file.read().split()


def _handles(host):
    return host.nft.list("list ruleset")


def _sysctl(name):
    with open(f"/proc/sys/net/ipv4/{name}") as file:
        return file.read().strip()
