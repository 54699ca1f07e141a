"""Who reaches whom, in both address families: the firewall's promises as a table.

The same questions that moby's documentation of its bridges asks: from outside, from the host, from
the same and from another network; internal networks, networks without inter-container
communication, ports on loopback, and the gateway modes. Its nine scenarios
(integration/network/bridge/iptablesdoc) and where they are asked here:

    new-daemon               test_the_outside_and_other_…, test_containers_reach_the_outside_…
    usernet-portmap          test_a_published_port_is_reached_…, test_a_port_published_on_one_…
    usernet-portmap-noproxy  the same: there is no proxy for what nft translates
    usernet-portmap-lo       test_a_port_published_on_loopback_…; [::1]: tests/voyage/test_ports.py
    usernet-portmap-natunprot    test_unprotected_containers_…
    usernet-portmap-routed   test_routed_containers_…
    usernet-portmap-noicc    test_without_icc_…
    usernet-internal         test_an_internal_network_…
    swarm-portmap            test_an_overlay_network_publishes_as_a_bridge_does; there is no swarm
"""

import pytest

from sampan.linux import netlink, sysctl
from sampan.network.publish import Binding, publish

from .conftest import (
    HOST,
    HOST6,
    OUTSIDE,
    OUTSIDE6,
    blocked,
    dual,
    dual_endpoint,
    new_netns,
    talk,
)

FAMILIES = pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
PORT = 80


class Scene:
    """A host with one dual-stack network (`changes`), a container `web` on it, and what comes."""

    def __init__(self, host, six: bool, **changes: object) -> None:
        self.host, self.six = host, six
        self.network = dual(**changes)
        self.driver = host.driver(kind=self.network.driver)
        self.web, self.inside = dual_endpoint(2), new_netns()
        self.host_address = HOST6 if six else HOST
        self.outside_address = OUTSIDE6 if six else OUTSIDE
        self.address = self.web.ipv6 if six else self.web.ipv4
        self.gateway = self.network.gateway6 if six else self.network.gateway

    async def start(self) -> None:
        await self.driver.ensure(self.network)
        await self.driver.connect(self.network, self.web, self.inside)

    async def neighbour(self, network=None, number: int = 3) -> int:
        """Another container, on this network or on another one."""
        network = network or self.network
        namespace = new_netns()
        which = int(network.name.removeprefix("net"))
        await self.driver.ensure(network)
        await self.driver.connect(network, dual_endpoint(number, which), namespace)
        return namespace

    async def publish(self, host_ip: str = "", port: int = 8080) -> None:
        binding = Binding(host_ip=host_ip, host_port=port, container_port=PORT)
        await publish(self.driver.firewall, self.network, self.web, [binding])

    def route_to_containers(self) -> None:
        """The outside sends packets for containers' own addresses to the host."""
        with netlink.Socket(netns=self.host.outside) as sock:
            sock.send(
                netlink.add_route("10.77.0.0", 16, gateway=HOST),
                netlink.add_route("fd00:77::", 32, gateway=HOST6),
            )

    def reached(self, client: int, address: str = "", port: int = PORT) -> str:
        return talk(client, (address or self.address, port), self.inside, PORT)


@pytest.fixture
def scene(own_host):
    """Run `body(scene)`; the network's fields are keyword arguments."""

    def run(six: bool, body, **changes: object) -> None:
        async def wrapped(host) -> None:
            scene = Scene(host, six, **changes)
            await scene.start()
            await body(scene)

        own_host(wrapped)

    return run


@FAMILIES
def test_the_host_and_the_same_network_reach_every_port(scene, six):
    async def body(scene):
        assert scene.reached(scene.host.here) == scene.gateway
        assert scene.reached(await scene.neighbour())

    scene(six, body)


@FAMILIES
def test_the_outside_and_other_networks_reach_no_port_that_is_not_published(scene, six):
    async def body(scene):
        scene.route_to_containers()
        other = await scene.neighbour(dual(2))
        assert blocked(scene.host.outside, (scene.address, PORT))
        assert blocked(other, (scene.address, PORT))
        await scene.publish(port=8080)
        assert blocked(scene.host.outside, (scene.address, PORT))
        assert blocked(other, (scene.address, PORT))

    scene(six, body)


@FAMILIES
def test_a_published_port_is_reached_from_everywhere_with_the_senders_address(scene, six):
    async def body(scene):
        await scene.publish()
        assert scene.reached(scene.host.outside, scene.host_address, 8080) == scene.outside_address
        assert scene.reached(scene.host.here, scene.host_address, 8080)
        assert scene.reached(scene.host.here, scene.gateway, 8080)
        assert scene.reached(await scene.neighbour(), scene.host_address, 8080)
        assert scene.reached(await scene.neighbour(dual(2)), scene.host_address, 8080)
        assert scene.reached(scene.inside, scene.host_address, 8080)

    scene(six, body)


@FAMILIES
def test_a_port_published_on_one_address_is_not_reached_at_another(scene, six):
    async def body(scene):
        await scene.publish(host_ip=scene.gateway)
        assert scene.reached(scene.host.here, scene.gateway, 8080)
        with pytest.raises(OSError):
            scene.reached(scene.host.outside, scene.host_address, 8080)

    scene(six, body)


def test_a_port_published_on_loopback_is_not_reached_from_outside(scene):
    async def body(scene):
        await scene.publish(host_ip="127.0.0.1")
        assert scene.reached(scene.host.here, "127.0.0.1", 8080) == scene.gateway
        with pytest.raises(OSError):
            scene.reached(scene.host.outside, scene.host_address, 8080)
        with netlink.Socket(netns=scene.host.outside) as sock:  # CVE-2020-8558
            sock.send(netlink.del_address(1, "127.0.0.1", 8))
            sock.send(netlink.add_route("127.0.0.0", 8, gateway=HOST))
        assert blocked(scene.host.outside, ("127.0.0.1", 8080))

    scene(False, body)


@FAMILIES
def test_containers_reach_the_outside_behind_the_hosts_address(scene, six):
    async def body(scene):
        target = (scene.outside_address, 9000)
        assert talk(scene.inside, target, scene.host.outside, 9000) == scene.host_address

    scene(six, body)


@FAMILIES
def test_an_internal_network_has_no_way_out_or_in(scene, six):
    async def body(scene):
        scene.route_to_containers()
        await scene.publish()
        assert scene.reached(await scene.neighbour())
        for client, address in (
            (scene.host.outside, scene.address),
            (await scene.neighbour(dual(2)), scene.address),
        ):
            assert blocked(client, (address, PORT))
        with pytest.raises(OSError):
            talk(scene.inside, (scene.outside_address, 9000), scene.host.outside, 9000)

    scene(six, body, internal=True)


@FAMILIES
def test_without_icc_containers_only_meet_at_published_ports(scene, six):
    async def body(scene):
        other = await scene.neighbour()
        with pytest.raises(OSError):
            talk(other, (scene.address, PORT), scene.inside, PORT, patience=0.3)
        await scene.publish()
        assert scene.reached(scene.host.outside, scene.host_address, 8080)

    scene(six, body, icc=False)


@FAMILIES
def test_routed_containers_are_reached_at_their_own_address_on_published_ports(scene, six):
    async def body(scene):
        scene.route_to_containers()
        assert blocked(scene.host.outside, (scene.address, PORT))
        await scene.publish()
        assert scene.reached(scene.host.outside) == scene.outside_address
        assert blocked(scene.host.outside, (scene.address, 81))
        target = (scene.outside_address, 9000)
        assert talk(scene.inside, target, scene.host.outside, 9000) == scene.address

    scene(six, body, mode="routed", mode6="routed")


@FAMILIES
def test_unprotected_containers_are_reached_on_every_port(scene, six):
    async def body(scene):
        scene.route_to_containers()
        assert scene.reached(scene.host.outside) == scene.outside_address

    scene(six, body, mode="nat-unprotected", mode6="nat-unprotected")


@FAMILIES
def test_an_overlay_network_publishes_as_a_bridge_does(scene, six):
    async def body(scene):
        scene.route_to_containers()
        await scene.publish()
        assert scene.reached(scene.host.outside, scene.host_address, 8080) == scene.outside_address
        assert scene.reached(scene.host.here, scene.host_address, 8080)
        assert scene.reached(scene.inside, scene.host_address, 8080)
        assert blocked(scene.host.outside, (scene.address, PORT))
        assert blocked(await scene.neighbour(dual(2)), (scene.address, PORT))
        target = (scene.outside_address, 9000)
        assert talk(scene.inside, target, scene.host.outside, 9000) == scene.host_address

    scene(six, body, driver="overlay", shared=True)


@FAMILIES
def test_an_isolated_network_has_no_address_of_the_hosts(scene, six):
    async def body(scene):
        assert scene.reached(await scene.neighbour())
        with pytest.raises(OSError):
            scene.reached(scene.host.here)

    scene(six, body, mode="isolated", mode6="isolated", internal=True)


@FAMILIES
def test_an_administrators_rules_are_asked_first_and_stay(scene, six):
    async def body(scene):
        await scene.publish()
        nft, family = scene.host.nft, "ip6" if six else "ip"
        rule = f"{family} saddr {scene.outside_address} drop"
        nft.run(f"add rule inet smptest administrator {rule}")
        assert blocked(scene.host.outside, (scene.host_address, 8080))
        nft.run("flush chain inet smptest forward")  # damage: the table is replaced
        await scene.driver.firewall.reconcile([scene.network], [])
        assert rule in nft.run("list chain inet smptest administrator")
        await scene.publish()
        assert blocked(scene.host.outside, (scene.host_address, 8080))

    scene(six, body)


def test_the_table_takes_nothing_along_and_switches_forwarding_back(own_host):
    async def body(host):
        sysctl.write("net/ipv6/conf/uplink/accept_ra", "1")
        before = host.ruleset()
        scene = Scene(host, True)
        await scene.start()
        assert sysctl.read("net/ipv6/conf/all/forwarding") == "1"
        assert sysctl.read("net/ipv6/conf/uplink/accept_ra") == "2"
        await scene.driver.disconnect(scene.network, scene.web, scene.inside)
        await scene.driver.remove(scene.network)
        assert sysctl.read("net/ipv6/conf/all/forwarding") == "0"
        assert host.ruleset() == before

    own_host(body)
