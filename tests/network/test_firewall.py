import socket
import subprocess
from pathlib import Path

import pytest

from sampan.network import doctor
from sampan.network.publish import Binding, publish, unpublish
from sampan.network.rules import Published

from .conftest import HOST, OUTSIDE, endpoint, network, new_netns, sock, talk

pytestmark = pytest.mark.needs("netns", "nft")


def port(number: int, container: str = "10.77.1.2", **changes: object) -> Published:
    values = {"host_port": number, "protocol": "tcp", "container_port": 80}
    return Published(container_ip=container, **{**values, **changes})


def handles(host):
    return host.nft.list("list ruleset")


def iptables(*arguments: str, legacy: bool = False) -> str:
    program = "iptables-legacy" if legacy else "iptables-nft"
    return subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout


NETWORKS = [network(1), network(2), network(3, internal=True), network(4, masquerade=False)]
PORTS = [
    port(80),
    port(80, protocol="udp"),
    port(81, host_ip="127.0.0.1"),
    port(82, "10.77.2.2"),
    port(83, host_ip="::1"),
]


def test_a_restart_that_finds_all_right_touches_nothing(own_host):
    async def body(host):
        await host.driver().firewall.reconcile(NETWORKS, PORTS)
        before = handles(host)
        with Watch() as watch:
            await host.driver().firewall.reconcile(NETWORKS, PORTS)
            for net in NETWORKS:
                await host.driver().firewall.add_network(net)
            assert watch.silent()
        assert handles(host) == before

    own_host(body)


def test_orphans_go_and_nothing_else(own_host):
    async def body(host):
        host.nft.run("table ip admin {\n chain c {\n  tcp dport 1 drop\n }\n}")
        firewall = host.driver().firewall
        await firewall.reconcile(NETWORKS, PORTS)
        before = host.nft.run("list table ip admin")
        skeleton = [i for i in handles(host) if "chain" in i or "rule" in i]
        await firewall.reconcile(NETWORKS[:1], [port(80, "10.77.1.9")])
        assert host.nft.run("list table ip admin") == before
        assert [i for i in handles(host) if "chain" in i or "rule" in i] == skeleton
        text = host.nft.run("list table inet smptest")
        assert "tcp . 80 : 10.77.1.9 . 80" in text
        assert not any(word in text for word in ("smptest2", "udp . 80", "127.0.0.1 .", "10.77.2"))

    own_host(body)


def test_a_damaged_table_is_put_right(own_host):
    async def body(host):
        firewall = host.driver().firewall
        await firewall.reconcile(NETWORKS, PORTS)
        text = host.ruleset()
        host.nft.run("flush chain inet smptest forward")
        await firewall.reconcile(NETWORKS, PORTS)
        assert sorted(host.ruleset().split()) == sorted(text.split())
        host.nft.run("flush ruleset")
        await firewall.reconcile(NETWORKS, PORTS)
        assert "chain forward" in host.ruleset()

    own_host(body)


def test_an_element_that_a_dead_container_left_is_replaced(own_host):
    async def body(host):
        firewall = host.driver().firewall
        await firewall.reconcile(NETWORKS, [port(80, "10.77.1.2")])
        firewall.publish([port(80, "10.77.1.3"), port(90, "10.77.1.3")])
        firewall.unpublish([port(80, "10.77.1.2")])  # too late: it is another's by now
        text = host.nft.run("list map inet smptest published")
        assert "tcp . 80 : 10.77.1.3 . 80" in text
        assert "tcp . 90 : 10.77.1.3 . 80" in text
        assert "10.77.1.2" not in text

    own_host(body)


@pytest.mark.parametrize("chain", ["FORWARD", "DOCKER-USER"])
@pytest.mark.parametrize("legacy", [False, True], ids=["nft", "legacy"])
def test_beside_a_dockerd_whose_forward_policy_is_drop(own_host, legacy, chain):
    if legacy and not _legacy_works():
        pytest.skip("this kernel has no iptables-legacy tables")

    async def body(host):
        iptables("-P", "FORWARD", "DROP", legacy=legacy)
        if chain == "DOCKER-USER":
            iptables("-N", chain, legacy=legacy)
            iptables("-A", chain, "-j", "RETURN", legacy=legacy)
            iptables("-A", "FORWARD", "-j", chain, legacy=legacy)
        iptables("-A", "FORWARD", "-p", "tcp", "--dport", "9", "-j", "DROP", legacy=legacy)
        words = "-A FORWARD -o docker0 -m conntrack --ctstate RELATED -m comment --comment x"
        iptables(*words.split(), "-j", "ACCEPT", legacy=legacy)
        before = iptables("-S", legacy=legacy)
        driver, net, inside = host.driver(), network(), new_netns()
        await driver.ensure(net)
        await driver.connect(net, endpoint(2), inside)
        bindings = [Binding(host_port=8080, container_port=80)]
        await publish(driver.firewall, net, endpoint(2), bindings)
        assert talk(host.outside, (HOST, 8080), inside, 80) == OUTSIDE
        assert talk(inside, (OUTSIDE, 80), host.outside, 80) == HOST
        rules = iptables("-S", legacy=legacy)  # still readable by its owner
        assert rules.count(f"-A {chain} -") >= 2
        await host.driver().ensure(net)
        assert iptables("-S", legacy=legacy) == rules
        await driver.remove(net)
        assert iptables("-S", legacy=legacy) == before

    own_host(body)


FIREWALLD = """
table inet firewalld {
    chain filter_FORWARD {
        type filter hook forward priority filter + 10; policy accept;
        ct state { established, related } accept
        ct status dnat accept
        iifname "lo" accept
        ct state vmap { invalid : drop }
        jump filter_FORWARD_ZONES
        reject with icmpx admin-prohibited
    }
    chain filter_FORWARD_ZONES {
        reject with icmpx admin-prohibited
    }
}
"""


def test_beside_a_firewalld(own_host):
    async def body(host):
        host.nft.run(FIREWALLD)
        before = host.ruleset()
        driver, net, inside = host.driver(), network(), new_netns()
        await driver.ensure(net)
        await driver.connect(net, endpoint(2), inside)
        assert talk(inside, (OUTSIDE, 80), host.outside, 80) == HOST
        await publish(driver.firewall, net, endpoint(2), [Binding(host_port=80, container_port=80)])
        assert talk(host.outside, (HOST, 80), inside, 80) == OUTSIDE
        found = doctor.examine(driver.firewall, host.nft, [net], [])
        assert not [one.text for one in found if one.level == "wrong"]
        host.nft.run(f"flush table inet firewalld; {FIREWALLD}")  # its reload, which we hear of
        await driver.firewall.reconcile([net], [])
        assert talk(inside, (OUTSIDE, 81), host.outside, 81) == HOST
        await driver.remove(net)
        assert host.ruleset() == before

    own_host(body)


def test_two_installations_side_by_side(own_host):
    async def body(host):
        iptables("-P", "FORWARD", "DROP")
        one, two = host.driver("smpone"), host.driver("smptwo")
        inside, beside = new_netns(), new_netns()
        for n, (driver, where) in enumerate(((one, inside), (two, beside)), 1):
            await driver.ensure(network(n))
            await driver.connect(network(n), endpoint(2, n), where)
            bindings = [Binding(host_port=8080 + n, container_port=80)]
            await publish(driver.firewall, network(n), endpoint(2, n), bindings)
        assert talk(host.outside, (HOST, 8081), inside, 80) == OUTSIDE
        assert talk(host.outside, (HOST, 8082), beside, 80) == OUTSIDE
        assert talk(beside, (HOST, 8081), inside, 80)
        await one.remove(network(1))
        assert talk(host.outside, (HOST, 8082), beside, 80) == OUTSIDE
        assert talk(beside, (OUTSIDE, 80), host.outside, 80) == HOST
        await two.remove(network(2))
        assert "smp" not in host.ruleset()
        assert not [name for name in host.links() if name.startswith("smptest")]

    own_host(body)


def test_forwarding_stays_on_while_somebody_else_forwards(own_host):
    async def body(host):
        await host.driver().ensure(network())
        host.nft.run("table inet vpn {\n chain f {\n  type filter hook forward priority 0\n }\n}")
        await host.driver().remove(network())
        assert _ip_forward() == "1"

    own_host(body)


def test_udp_flows_move_to_the_next_container(own_host):
    async def body(host):
        driver, net = host.driver(), network()
        await driver.ensure(net)
        bindings = [Binding(host_port=5353, container_port=53, protocol="udp")]
        with sock(host.outside, "udp") as client:
            client.connect((HOST, 5353))
            for n in (2, 3):  # the same client socket, so the same flow for conntrack
                inside = new_netns()
                await driver.connect(net, endpoint(n), inside)
                await publish(driver.firewall, net, endpoint(n), bindings)
                with sock(inside, "udp", "0.0.0.0", 53) as server:
                    client.send(b"ping")
                    _, peer = server.recvfrom(9)
                    server.sendto(str(n).encode(), peer)
                    assert client.recv(9) == str(n).encode()
                await unpublish(driver.firewall, net, endpoint(n), bindings)

    own_host(body)


def _ip_forward() -> str:
    return Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()


def _legacy_works() -> bool:
    done = subprocess.run(
        ["unshare", "-n", "iptables-legacy", "-S"], check=False, capture_output=True
    )
    return done.returncode == 0


class Watch:
    """Hears of every change to nftables in this namespace (NFNLGRP_NFTABLES)."""

    def __enter__(self):
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        self._socket.bind((0, 1 << 6))
        self._socket.setblocking(False)
        return self

    def __exit__(self, *_):
        self._socket.close()

    def silent(self) -> bool:
        try:
            self._socket.recv(1)
        except BlockingIOError:
            return True
        return False
