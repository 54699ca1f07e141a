"""Address management, pure: which subnet a new network gets, which address an endpoint.

Nothing is remembered here: the caller (the engine's database) hands in what is taken, and where
the last address was given, so that one just released is not given away at once: old ARP entries
and clients' connections would find the wrong container.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, ip_network
from typing import TYPE_CHECKING

from sampan.network import errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# Docker's defaults ("Default address pools" of the daemon's documentation): base, size.
DEFAULT_POOLS = (
    *((IPv4Network(f"172.{n}.0.0/16"), 16) for n in range(17, 32)),
    (IPv4Network("192.168.0.0/16"), 20),
)


def choose_subnet(
    taken: Iterable[IPv4Network], pools: Iterable[tuple[IPv4Network, int]] = DEFAULT_POOLS
) -> IPv4Network:
    """The first subnet of the pools that overlaps nothing in `taken` (networks, host's routes).

    Raises `errors.NoSubnet`.
    """
    taken = [network for network in taken if network.prefixlen]
    for base, size in pools:
        for subnet in base.subnets(new_prefix=size):
            if not any(subnet.overlaps(other) for other in taken):
                return subnet
    raise errors.NoSubnet(
        "all predefined address pools have been fully subnetted; name one with --subnet"
    )


def parse_subnet(text: str, taken: Iterable[IPv4Network] = ()) -> IPv4Network:
    """A subnet that a user named. Raises `errors.InvalidNetwork`, or `NoSubnet` on an overlap."""
    try:
        subnet = ip_network(text)
    except ValueError as e:
        raise errors.InvalidNetwork(f"invalid subnet {text}: {e}") from None
    if not isinstance(subnet, IPv4Network):
        raise errors.InvalidNetwork(f"invalid subnet {text}: only IPv4 subnets are supported")
    if subnet.prefixlen > 30:
        raise errors.InvalidNetwork(f"invalid subnet {text}: no room for a gateway and a container")
    if any(subnet.overlaps(other) for other in taken if other.prefixlen):
        raise errors.NoSubnet(
            "invalid pool request: Pool overlaps with other one on this address space"
        )
    return subnet


def gateway(subnet: IPv4Network, wanted: str = "") -> IPv4Address:
    """The bridge's own address: the subnet's first, or the one a user named."""
    if not wanted:
        return subnet.network_address + 1
    return _inside(subnet, wanted, "gateway")


def allocate(
    network: str,
    subnet: IPv4Network,
    in_use: Collection[IPv4Address],
    *,
    ip_range: IPv4Network | None = None,
    after: IPv4Address | None = None,
) -> IPv4Address:
    """The next free address, going on `after` the last one given and around.

    `in_use` includes the gateway and reserved addresses; `network` is the name for the error,
    `errors.AddressesExhausted`.
    """
    area = ip_range or subnet
    first, last = int(area.network_address), int(area.broadcast_address)
    # The subnet's own first and last address belong to nobody (RFC 919).
    first = max(first, int(subnet.network_address) + 1)
    last = min(last, int(subnet.broadcast_address) - 1)
    size = last - first + 1
    start = int(after) + 1 - first if after and first <= int(after) <= last else 0
    for step in range(min(size, len(in_use) + 1)):
        address = IPv4Address(first + (start + step) % size)
        if address not in in_use:
            return address
    raise errors.AddressesExhausted(f"no available IPv4 addresses on network {network}")


def claim(subnet: IPv4Network, in_use: Collection[IPv4Address], wanted: str) -> IPv4Address:
    """A certain address. Raises `errors.InvalidNetwork` or `AddressInUse`."""
    address = _inside(subnet, wanted, "address")
    if address in in_use:
        raise errors.AddressInUse("Address already in use")
    return address


def _inside(subnet: IPv4Network, text: str, what: str) -> IPv4Address:
    try:
        address = IPv4Address(text)
    except ValueError:
        raise errors.InvalidNetwork(f"invalid {what} {text}: not an IPv4 address") from None
    if address not in subnet or address in (subnet.network_address, subnet.broadcast_address):
        raise errors.InvalidNetwork(
            f"invalid {what} {text}: it does not belong to the hosts of subnet {subnet}"
        )
    return address
