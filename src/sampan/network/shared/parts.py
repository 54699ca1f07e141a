"""Which part of a shared subnet a host asks for next; pure.

A subnet is cut into sixteen parts, or into parts of 256 addresses where that gives more. A host
gives addresses only from parts that it has claimed, so a start asks nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.network import errors

if TYPE_CHECKING:
    from collections.abc import Collection

    from sampan.network.ipam import Address, Subnet

_BITS = 4  # sixteen parts, at least
_LARGEST = 8  # bits of addresses in a part, at most


def size(subnet: Subnet) -> int:
    """The prefix of its parts."""
    most = subnet.max_prefixlen
    return min(max(subnet.prefixlen + _BITS, most - _LARGEST), most)


def around(subnet: Subnet, address: Address) -> Subnet:
    """The part that an address is in."""
    bits = subnet.max_prefixlen - size(subnet)
    return type(subnet)((int(address) >> bits << bits, size(subnet)))


def free(network: str, area: Subnet, subnet: Subnet, held: Collection[Subnet]) -> Subnet:
    """The first part in `area` (the subnet, or its --ip-range) that nobody has.

    Raises AddressesExhausted naming the network.
    """
    prefix = size(subnet)
    if area.prefixlen >= prefix:
        parts = iter([around(subnet, area.network_address)])
    else:
        parts = area.subnets(new_prefix=prefix)
    for part in parts:
        if part not in held:
            return part
    raise errors.AddressesExhausted(
        f"no available IPv{subnet.version} addresses on network {network}: hosts have all its parts"
    )


def usable(subnet: Subnet, part: Subnet, in_use: Collection[Address]) -> int:
    """How many addresses of a part are free; the subnet's ends belong to nobody."""
    ends = {subnet.network_address, subnet.broadcast_address}
    return part.num_addresses - sum(1 for address in ends | {*in_use} if address in part)
