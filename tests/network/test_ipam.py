from ipaddress import IPv4Address as A
from ipaddress import IPv4Network as N
from ipaddress import IPv6Address as A6
from ipaddress import IPv6Network as N6

import pytest

from sampan.network import errors, ipam

SMALL = N("10.0.0.0/29")


def test_the_first_pool_that_overlaps_nothing():
    assert ipam.choose_subnet([]) == N("172.17.0.0/16")
    assert ipam.choose_subnet([N("172.17.5.0/24"), N("172.18.0.0/15")]) == N("172.20.0.0/16")
    assert ipam.choose_subnet([N("172.16.0.0/12")]) == N("192.168.0.0/20")
    assert ipam.choose_subnet([N("0.0.0.0/0")]) == N("172.17.0.0/16")  # a default route
    with pytest.raises(errors.NoSubnet, match="fully subnetted"):
        ipam.choose_subnet([N("172.16.0.0/12"), N("192.168.0.0/16")])


def test_addresses_go_round_before_one_is_given_again():
    used = {A("10.0.0.1")}
    given, last = [], None
    for _ in range(8):
        last = ipam.allocate("n", SMALL, used, after=last)
        given.append(str(last).rpartition(".")[2])
    assert given == ["2", "3", "4", "5", "6", "2", "3", "4"]


def test_a_full_network():
    with pytest.raises(errors.AddressesExhausted) as caught:
        ipam.allocate("web", SMALL, {A(f"10.0.0.{n}") for n in range(1, 7)})
    assert str(caught.value) == "no available IPv4 addresses on network web"


def test_a_range_within_the_subnet():
    subnet = N("10.0.0.0/24")
    assert ipam.allocate("n", subnet, set(), ip_range=N("10.0.0.64/30")) == A("10.0.0.64")
    full = {A(f"10.0.0.{n}") for n in range(64, 68)}
    with pytest.raises(errors.AddressesExhausted):
        ipam.allocate("n", subnet, full, ip_range=N("10.0.0.64/30"))


def test_a_large_network_is_quick_when_nearly_full():
    used = {A(int(A("10.1.0.0")) + n) for n in range(1, 65534)}
    assert ipam.allocate("n", N("10.1.0.0/16"), used) == A("10.1.255.254")


@pytest.mark.parametrize("wanted", ["10.0.1.1", "10.0.0.0", "10.0.0.7", "x", "::1"])
def test_an_address_that_can_never_work(wanted):
    with pytest.raises(errors.InvalidNetwork):
        ipam.claim(SMALL, set(), wanted)


def test_static_address():
    assert ipam.claim(SMALL, set(), "10.0.0.5") == A("10.0.0.5")
    with pytest.raises(errors.AddressInUse, match="Address already in use"):
        ipam.claim(SMALL, {A("10.0.0.5")}, "10.0.0.5")


def test_subnets_of_users():
    assert ipam.gateway(ipam.parse_subnet("10.9.0.0/16")) == A("10.9.0.1")
    assert ipam.gateway(SMALL, "10.0.0.6") == A("10.0.0.6")
    for text in ("10.9.0.1/16", "10.9.0.0/31", "fd00::/127", "nonsense"):
        with pytest.raises(errors.InvalidNetwork, match="invalid subnet"):
            ipam.parse_subnet(text)
    with pytest.raises(errors.NoSubnet, match="overlaps"):
        ipam.parse_subnet("10.9.1.0/24", [N("10.9.0.0/16")])


def test_ipv6_subnets_come_from_a_pool_of_the_installation():
    pool = ipam.unique_local("/var/lib/sampan")
    assert pool == ipam.unique_local("/var/lib/sampan")
    assert pool[0] != ipam.unique_local("/elsewhere")[0]
    assert pool[0].subnet_of(N6("fd00::/8"))
    first = ipam.choose_subnet([N("172.17.0.0/16")], [pool])
    second = ipam.choose_subnet([first], [pool])
    assert (first.prefixlen, second.prefixlen) == (64, 64)
    assert not first.overlaps(second)


def test_ipv6_addresses():
    subnet = ipam.parse_subnet("fd00:1::/64")
    assert ipam.gateway(subnet) == A6("fd00:1::1")
    assert ipam.allocate("n", subnet, {A6("fd00:1::1")}) == A6("fd00:1::2")
    assert ipam.claim(subnet, set(), "fd00:1::99") == A6("fd00:1::99")
    for wanted in ("10.0.0.1", "fd00:2::1", "fd00:1::"):
        with pytest.raises(errors.InvalidNetwork):
            ipam.claim(subnet, set(), wanted)


def test_the_last_address_of_an_ipv6_subnet_is_a_hosts():
    subnet, part = N6("fd00:1::/64"), N6("fd00:1::ffff:ffff:ffff:fffe/127")
    used = {ipam.gateway(subnet, part=part)}
    assert ipam.allocate("n", subnet, used, ip_range=part) == part.broadcast_address


@pytest.mark.parametrize("text", ["10.9.0.0/31", "fd00:1::/127"])
def test_two_containers_without_a_gateway_are_enough(text):
    subnet = ipam.parse_subnet(text, gateway=False)
    first = ipam.allocate("n", subnet, set())
    second = ipam.allocate("n", subnet, {first}, after=first)
    assert {first, second} == set(subnet)
    with pytest.raises(errors.AddressesExhausted):
        ipam.allocate("n", subnet, {first, second})


def test_a_range_gives_the_gateway_too_and_must_be_part_of_the_subnet():
    subnet = N("10.9.0.0/16")
    part = ipam.parse_range(subnet, "10.9.8.0/24")
    assert ipam.gateway(subnet, part=part) == A("10.9.8.0")
    for text in ("10.8.0.0/24", "10.0.0.0/8", "fd00::/64", "x"):
        with pytest.raises(errors.InvalidNetwork, match="invalid ip-range"):
            ipam.parse_range(subnet, text)
