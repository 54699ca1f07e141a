"""How a subnet is cut into parts that hosts give addresses from."""

from ipaddress import ip_address, ip_network

import pytest

from sampan.network import errors
from sampan.network.shared import parts


@pytest.mark.parametrize(
    ("subnet", "size", "number"),
    [
        ("10.0.0.0/24", 28, 16),
        ("10.0.0.0/16", 24, 256),
        ("10.0.0.0/29", 32, 8),
        ("fd00::/120", 124, 16),
    ],
)
def test_every_address_is_in_one_part(subnet, size, number):
    whole, held = ip_network(subnet), []
    for _ in range(number):
        held.append(parts.free("sea", whole, whole, held))
    assert {part.prefixlen for part in held} == {size}
    assert sum(part.num_addresses for part in held) == whole.num_addresses
    assert all(parts.around(whole, address) in held for address in whole)
    with pytest.raises(errors.AddressesExhausted, match="sea: hosts have all its parts"):
        parts.free("sea", whole, whole, held)


def test_a_range_smaller_than_a_part_is_in_one():
    whole, area = ip_network("10.0.0.0/16"), ip_network("10.0.7.64/26")
    assert parts.free("sea", area, whole, ()) == ip_network("10.0.7.0/24")
    assert parts.free("sea", ip_network("10.0.8.0/23"), whole, ()) == ip_network("10.0.8.0/24")


def test_the_ends_of_a_subnet_belong_to_nobody():
    whole = ip_network("10.0.0.0/24")
    first, last = ip_network("10.0.0.0/28"), ip_network("10.0.0.240/28")
    assert parts.usable(whole, first, {ip_address("10.0.0.1"), ip_address("10.0.0.99")}) == 14
    assert parts.usable(whole, last, ()) == 15


def test_a_large_subnet_of_ipv6_takes_no_time():
    whole = ip_network("fd00::/64")
    assert parts.free("sea", whole, whole, ()) == ip_network("fd00::/120")
