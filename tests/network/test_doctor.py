"""What the doctor finds wrong on a host of our own, each made wrong for the purpose."""

import pytest

from sampan.linux import netlink, sysctl
from sampan.network import doctor
from sampan.network.finding import Finding
from sampan.network.publish import Binding, publish, published

from .conftest import OUTSIDE, dual, endpoint, network
from .test_firewall import iptables

pytestmark = pytest.mark.needs("netns", "nft")


async def well(host):
    """A host with one network and one published port, all right."""
    driver = host.driver()
    await driver.ensure(network())
    await publish(driver.firewall, network(), endpoint(2), BINDINGS)
    return driver.firewall


BINDINGS = [
    Binding(host_port=8080, container_port=80),
    Binding(host_ip="127.0.0.1", host_port=8081, container_port=81),
]


def examine(host, firewall) -> list[Finding]:
    items = [("web", item) for item in published(network(), endpoint(2), BINDINGS)]
    before = host.ruleset()
    found = doctor.examine(firewall, host.nft, [network()], items)
    assert host.ruleset() == before
    return found


def wrong(findings: list[Finding]) -> list[str]:
    return [f"{f.about}: {f.text}" for f in findings if f.level == "wrong"]


def test_all_is_well(own_host):
    async def body(host):
        found = examine(host, await well(host))
        assert wrong(found) == []
        said = {f.about: f.text for f in found}
        assert said["port 8080/tcp"].startswith("reachable from everywhere")
        assert said["port 8081/tcp"] == "reachable from this host alone: web, 10.77.1.2:81"
        assert "from other machines at published ports" in said["network net1"]

    own_host(body)


def test_forwarding_was_switched_off(own_host):
    async def body(host):
        firewall = await well(host)
        sysctl.write("net/ipv4/ip_forward", "0")
        assert "ip_forward is off" in wrong(examine(host, firewall))[0]

    own_host(body)


def test_somebody_flushed_the_rules(own_host):
    async def body(host):
        firewall = await well(host)
        host.nft.run("flush ruleset")
        told = wrong(examine(host, firewall))
        assert [t.partition(":")[0] for t in told] == ["host", "port 8080/tcp", "port 8081/tcp"]
        assert "gone or has rules missing" in told[0]

    own_host(body)


def test_a_bridge_that_is_down_or_gone(own_host):
    async def body(host):
        firewall = await well(host)
        with netlink.Socket() as sock:
            sock.send(netlink.set_link("smptest1", up=False))
            assert "network net1: its bridge smptest1 is down" in wrong(examine(host, firewall))[0]
            sock.send(netlink.del_link("smptest1"))
        assert "smptest1 is missing" in wrong(examine(host, firewall))[0]

    own_host(body)


def test_a_route_that_leads_elsewhere(own_host):
    async def body(host):
        firewall = await well(host)
        with netlink.Socket() as sock:
            uplink = sock.link("uplink")
            sock.send(netlink.add_route("10.77.1.128", 25, index=uplink.index))
        assert "10.77.1.128/25" in wrong(examine(host, firewall))[0]

    own_host(body)


def test_other_firewalls(own_host):
    async def body(host):
        firewall = await well(host)
        iptables("-P", "FORWARD", "DROP")
        assert "ip filter lets nothing through" in wrong(examine(host, firewall))[0]
        await host.driver().ensure(network())  # our two rules
        found = examine(host, firewall)
        assert wrong(found) == []
        assert any(f.level == "note" and "are let through" in f.text for f in found)
        host.nft.run(
            "table inet firewalld {\n chain filter_FORWARD {\n"
            "  type filter hook forward priority 10; policy accept;\n"
            "  ct state established accept\n  counter reject\n }\n}"
        )
        assert "no rule for smptest1" in wrong(examine(host, firewall))[0]
        iptables("-P", "INPUT", "DROP")
        assert any("chain administrator" in f.text for f in examine(host, firewall))

    own_host(body)


def test_ipv6_is_switched_off(own_host):
    async def body(host):
        firewall = await well(host)
        six = dual()
        await host.driver().ensure(six)
        sysctl.write(f"net/ipv6/conf/{six.bridge}/disable_ipv6", "1")
        said = wrong(doctor.examine(firewall, host.nft, [six], []))
        assert any(f"IPv6 is switched off on {six.bridge}" in text for text in said), said

    own_host(body)


STRICT = [("1", "0", True), ("0", "1", True), ("2", "1", False), ("0", "0", False)]


@pytest.mark.parametrize(("everywhere", "there", "said"), STRICT)
def test_strict_reverse_paths(own_host, everywhere, there, said):
    """The larger of the two holds (the kernel's ip-sysctl document)."""

    async def body(host):
        firewall = await well(host)
        with netlink.Socket() as sock:
            sock.send(netlink.add_route("0.0.0.0", 0, gateway=OUTSIDE))
        sysctl.write("net/ipv4/conf/all/rp_filter", everywhere)
        sysctl.write("net/ipv4/conf/uplink/rp_filter", there)
        texts = [f.text for f in examine(host, firewall) if "rp_filter" in f.text]
        assert bool(texts) == said
        assert all("uplink" in text for text in texts)

    own_host(body)
