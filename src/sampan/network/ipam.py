"""Address management, pure: which subnet a new network gets, which address an endpoint.

Nothing is remembered here: the caller (the engine's database) hands in what is taken, and where
the last address was given, so that one just released is not given away at once: old ARP entries
and clients' connections would find the wrong container. IPv4 and IPv6 are treated alike.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

from sampan.network import errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from ipaddress import IPv4Address, IPv6Address

    Subnet = IPv4Network | IPv6Network
    Address = IPv4Address | IPv6Address

# Docker's defaults ("Default address pools" of the daemon's documentation): base, size.
DEFAULT_POOLS = (
    *((IPv4Network(f"172.{n}.0.0/16"), 16) for n in range(17, 32)),
    (IPv4Network("192.168.0.0/16"), 20),
)
_OVERLAP = "invalid pool request: Pool overlaps with other one on this address space"


def unique_local(seed: str) -> tuple[IPv6Network, int]:
    """A pool of IPv6 subnets: the /48 that belongs to `seed` (RFC 4193), in /64s."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:5], "big")
    return IPv6Network((0xFD << 120 | number << 80, 48)), 64


def choose_subnet(
    taken: Iterable[Subnet], pools: Iterable[tuple[Subnet, int]] = DEFAULT_POOLS
) -> Subnet:
    """The first subnet of the pools that overlaps nothing in `taken` (networks, host's routes).

    Raises `errors.NoSubnet`.
    """
    taken = [network for network in taken if network.prefixlen]
    for base, size in pools:
        for subnet in base.subnets(new_prefix=size):
            if not any(_overlap(subnet, other) for other in taken):
                return subnet
    raise errors.NoSubnet(
        "all predefined address pools have been fully subnetted; name one with --subnet"
    )


def parse_subnet(text: str, taken: Iterable[Subnet] = (), *, gateway: bool = True) -> Subnet:
    """A subnet that a user named; without a gateway, two containers are enough (RFC 3021).

    Raises `errors.InvalidNetwork`, or `NoSubnet` on an overlap.
    """
    try:
        subnet = ip_network(text)
    except ValueError as e:
        raise errors.InvalidNetwork(f"invalid subnet {text}: {e}") from None
    if subnet.prefixlen > subnet.max_prefixlen - (2 if gateway else 1):
        raise errors.InvalidNetwork(f"invalid subnet {text}: no room for a gateway and a container")
    if any(_overlap(subnet, other) for other in taken if other.prefixlen):
        raise errors.NoSubnet(_OVERLAP)
    return subnet


def parse_range(subnet: Subnet, text: str) -> Subnet:
    """The part of a subnet that addresses are given from."""
    try:
        part = ip_network(text)
    except ValueError as e:
        raise errors.InvalidNetwork(f"invalid ip-range {text}: {e}") from None
    if (
        part.version != subnet.version
        or not _overlap(part, subnet)
        or part.prefixlen < subnet.prefixlen
    ):
        raise errors.InvalidNetwork(f"invalid ip-range {text}: it is not part of subnet {subnet}")
    return part


def gateway(subnet: Subnet, wanted: str = "", part: Subnet | None = None) -> Address:
    """The bridge's own address: the first of the subnet (of its `part`), or one a user named."""
    if wanted:
        return inside(subnet, wanted, "gateway")
    first = (part or subnet).network_address
    return first if part and first != subnet.network_address else subnet.network_address + 1


def allocate(
    network: str,
    subnet: Subnet,
    in_use: Collection[Address],
    *,
    ip_range: Subnet | None = None,
    after: Address | None = None,
) -> Address:
    """The next free address, going on `after` the last one given and around.

    `in_use` includes the gateway and reserved addresses; `network` is the name for the error,
    `errors.AddressesExhausted`.
    """
    area = ip_range or subnet
    nobodys = _nobodys(subnet)
    first, last = int(area.network_address), int(area.broadcast_address)
    first += area.network_address in nobodys
    last -= area.broadcast_address in nobodys
    size = last - first + 1
    start = int(after) + 1 - first if after and first <= int(after) <= last else 0
    for step in range(min(size, len(in_use) + 1)):
        address = type(subnet.network_address)(first + (start + step) % size)
        if address not in in_use:
            return address
    raise errors.AddressesExhausted(
        f"no available IPv{subnet.version} addresses on network {network}"
    )


def allocate_from(
    parts: Iterable[Subnet | None],
    network: str,
    subnet: Subnet,
    in_use: Collection[Address],
    *,
    after: Address | None = None,
) -> Address:
    """The same, of the first of these parts that has one; None is all of the subnet."""
    for part in parts:
        try:
            return allocate(network, subnet, in_use, ip_range=part, after=after)
        except errors.AddressesExhausted:
            continue
    raise errors.AddressesExhausted(
        f"no available IPv{subnet.version} addresses on network {network}"
    )


def claim(subnet: Subnet, in_use: Collection[Address], wanted: str) -> Address:
    """A certain address. Raises `errors.InvalidNetwork` or `AddressInUse`."""
    address = inside(subnet, wanted, "address")
    if address in in_use:
        raise errors.AddressInUse("Address already in use")
    return address


def inside(subnet: Subnet, text: str, what: str) -> Address:
    """An address that a user named: a host's in this subnet."""
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    if address is None or address.version != subnet.version:
        raise errors.InvalidNetwork(f"invalid {what} {text}: not an IPv{subnet.version} address")
    if address not in subnet or address in _nobodys(subnet):
        raise errors.InvalidNetwork(
            f"invalid {what} {text}: it does not belong to the hosts of subnet {subnet}"
        )
    return address


def _nobodys(subnet: Subnet) -> set[Address]:
    """Addresses of no host: an IPv4 subnet's first and last (RFC 919), but for one of two addresses
    (RFC 3021); the first of an IPv6 subnet, its routers' anycast address (RFC 4291, 2.6.1)."""
    if subnet.prefixlen >= subnet.max_prefixlen - 1:
        return set()
    last = {subnet.broadcast_address} if subnet.version == 4 else set()
    return {subnet.network_address, *last}


def _overlap(one: Subnet, other: Subnet) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)
