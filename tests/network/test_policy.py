"""The language of policies, and what its rules let through in a real namespace."""

import pytest

from sampan.kit import errors
from sampan.linux import netns
from sampan.linux.nft import Nft
from sampan.network import policy
from sampan.network.shaping import shape

from .conftest import endpoint, network, new_netns, sock, talk


def parsed(text: str) -> policy.Rule:
    rules = policy.parse({"sampan.network.egress": text}).egress
    assert rules is not None
    return rules[0]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("10.0.0.0/8:5432", {"network": "10.0.0.0/8", "ports": "5432"}),
        ("udp/192.0.2.1:53", {"protocol": "udp", "network": "192.0.2.1/32", "ports": "53"}),
        ("[fd00::/8]:80-90", {"network": "fd00::/8", "ports": "80-90"}),
        ("fd00::1", {"network": "fd00::1/128"}),
        ("*.Debian.org:80", {"name": "*.debian.org", "ports": "80"}),
        ("db", {"name": "db"}),
        ("*:443", {"ports": "443"}),
        ("icmp/*", {"protocol": "icmp"}),
    ],
)
def test_rules(text, rule):
    assert parsed(text) == policy.Rule(**rule)


@pytest.mark.parametrize(
    "text",
    ["10.0.0.0/8:5432", "udp/192.0.2.1:53", "[fd00::/8]:80-90", "fd00::1", "*:443", "icmp/*"],
)
def test_a_rule_is_shown_as_it_is_written(text):
    assert policy.words(parsed(text)) == text


@pytest.mark.parametrize(
    ("option", "text", "said"),
    [
        ("egress", "10.0.0.1/8", "has host bits set"),
        ("egress", "10.0.0.256", "neither an address"),
        ("egress", "x:0", "no port"),
        ("egress", "x:1-", "no port"),
        ("egress", "icmp/x:1", "no ports"),
        ("egress", "a..b", "neither an address"),
        ("egress", "[::1]80", "after the bracket"),
        ("ingress", "example.org", "names are for egress"),
        ("egress-rate", "10", "must look like"),
        ("ingress-rate", "0mbit", "must look like"),
        ("speed", "1", "unknown option sampan.network.speed"),
    ],
)
def test_bad_ones_are_named(option, text, said):
    with pytest.raises(errors.InvalidArgument, match=said) as raised:
        policy.parse({f"sampan.network.{option}": text})
    assert f"sampan.network.{option}" in str(raised.value)


def test_who_is_covered_by_a_name():
    assert policy.matches("*.debian.org", "deb.debian.org")
    assert not policy.matches("*.debian.org", "debian.org")
    assert not policy.matches("debian.org", "deb.debian.org")
    assert not policy.matches("*.debian.org", "notdebian.org")


async def two(host, egress: str | None = None, ingress: str | None = None) -> tuple[int, int]:
    """Two containers on one bridge; the first has the policy."""
    driver = host.driver()
    await driver.ensure(network())
    made = []
    for number in (2, 3):
        made.append(new_netns())
        await driver.connect(network(), endpoint(number), made[-1])
    given = {"egress": egress, "ingress": ingress}
    options = {f"sampan.network.{k}": v for k, v in given.items() if v is not None}
    with netns.entered(made[0]):
        Nft().run(policy.compile([("", policy.parse(options))]).text)
    return made[0], made[1]


def refused(client: int, target: tuple[str, int]) -> bool:
    """At once, by an ICMP message: the client does not wait for a timeout."""
    with sock(client, "tcp") as s, pytest.raises(OSError) as raised:
        s.connect(target)
    assert not isinstance(raised.value, TimeoutError), "dropped silently"
    return True


@pytest.mark.needs("netns", "nft")
def test_an_egress_list_holds_between_neighbours(own_host):
    async def body(host):
        first, second = await two(host, egress="10.77.1.3:8080,udp/10.77.1.0/24:53")
        assert talk(first, ("10.77.1.3", 8080), second, 8080) == "10.77.1.2"
        assert talk(first, ("10.77.1.3", 53), second, 53, "udp") == "10.77.1.2"
        assert refused(first, ("10.77.1.3", 8081))
        assert refused(first, ("10.77.1.3", 53))
        assert refused(first, ("10.77.1.1", 8080))
        assert talk(second, ("10.77.1.2", 99), first, 99) == "10.77.1.3"  # answers pass

    own_host(body)


@pytest.mark.needs("netns", "nft")
def test_an_ingress_list(own_host):
    async def body(host):
        first, second = await two(host, ingress="10.77.1.1,10.77.1.3:80")
        assert talk(second, ("10.77.1.2", 80), first, 80) == "10.77.1.3"
        with sock(second, "tcp") as s:
            s.settimeout(0.15)
            with pytest.raises(TimeoutError):
                s.connect(("10.77.1.2", 81))
        assert talk(first, ("10.77.1.3", 81), second, 81) == "10.77.1.2"  # ways out are free

    own_host(body)


@pytest.mark.needs("netns", "nft")
def test_an_empty_list_lets_nothing_out_but_loopback(own_host):
    async def body(host):
        first, _ = await two(host, egress="")
        assert refused(first, ("10.77.1.3", 80))
        assert talk(first, ("127.0.0.1", 80), first, 80) == "127.0.0.1"

    own_host(body)


def seconds_to_receive(client: int, server: int, size: int) -> float:
    """By the receiver's clock, from its first byte."""
    import threading
    import time

    with sock(server, "tcp", "0.0.0.0", 80) as s, sock(client, "tcp") as c:
        c.connect(("10.77.1.3", 80))
        accepted, _ = s.accept()
        c.settimeout(20)
        sender = threading.Thread(target=c.sendall, args=(bytes(size),))
        sender.start()
        start, left = time.monotonic(), size
        with accepted:
            while left:
                left -= len(accepted.recv(1 << 20))
        sender.join()
        return time.monotonic() - start


@pytest.mark.needs("netns", "nft")
@pytest.mark.parametrize("side", ["egress", "ingress"])
def test_a_rate_holds_what_is_sent_or_received(own_host, side):
    async def body(host):
        driver = host.driver()
        await driver.ensure(network())
        spaces = {n: new_netns() for n in (2, 3)}
        for number, space in spaces.items():
            await driver.connect(network(), endpoint(number), space)
        number, rate = (2 if side == "egress" else 3), 1_000_000
        rates = {"egress": 0, "ingress": 0, side: rate}
        try:
            shape(network(), endpoint(number), spaces[number], **rates)
        except errors.Unsupported as e:
            pytest.skip(str(e))
        # A megabyte a second, less what the bucket holds at first: a lower bound, never an upper.
        assert seconds_to_receive(spaces[2], spaces[3], 500_000) > 0.25

    own_host(body)


def test_a_rate_needs_a_link_on_the_host():
    with pytest.raises(errors.InvalidArgument, match="macvlan has no interface on the host"):
        shape(network(driver="macvlan"), endpoint(2), -1, egress=0, ingress=1)


def test_nothing_restricted_is_no_table():
    assert policy.compile([("", policy.Policy(egress_rate=1)), ("eth0", policy.Policy())]) == (
        policy.Compiled(text="", names=(), closed=False)
    )


def test_names_alone_close_all_other_look_ups():
    def closed(*lists: str) -> bool:
        pairs = [("", policy.parse({"sampan.network.egress": text})) for text in lists]
        return policy.compile(pairs).closed

    assert closed("example.org")
    assert closed("10.0.0.0/8")
    assert not closed("*:443", "*")
    assert closed("*:443", "example.org")
