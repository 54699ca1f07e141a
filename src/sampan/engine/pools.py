"""A network's address pools: Docker's `IPAM.Config` checked, completed, and read back.

    spec = pools.make(engine_pools, taken, ipv4=…, ipv6=…)     at create: a list of pool dicts
    pool = pools.of(spec, 4)                                    Pool or None

A pool is stored as {"subnet", "gateway", "ip_range", "aux": {name: address}}, one a family;
"chosen": true where no user named the subnet.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any

from sampan.kit import errors
from sampan.kit.record import Record
from sampan.network import ipam

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sampan.network.ipam import Address, Subnet


class Pool(Record):
    subnet: Subnet
    gateway: Address | None
    part: Subnet | None  # --ip-range
    reserved: frozenset[Address]  # the gateway and what --aux-address names
    chosen: bool = False  # by us; nobody may ask for a certain address of it

    @property
    def suffix(self) -> str:
        return f"/{self.subnet.prefixlen}"


def ignored(asked: Sequence[dict[str, Any]], *, ipv4: bool, ipv6: bool) -> str:
    """What `make` leaves out, as dockerd does, in words; empty where it is nothing."""
    on = {4: ipv4, 6: ipv6}
    left = [p["subnet"] for p in asked if p.get("subnet") and not on[_version(p["subnet"])]]
    return f"subnet {left[0]} is not used: its address family is not enabled" if left else ""


def make(
    asked: Sequence[dict[str, Any]],
    taken: Iterable[Subnet],
    *,
    ipv4: bool,
    ipv6: bool,
    seed: str,
    defaults: Sequence[tuple[Subnet, int]] = (),
    no_gateway: Collection[int] = (),
) -> list[dict[str, Any]]:
    """The pools of a new network; families that are on and not asked for get a subnet of
    `defaults`, or of ours. `no_gateway`: families in which the host is not on the network."""
    taken = list(taken)
    ours: dict[int, Sequence[tuple[Subnet, int]]]
    ours = {4: ipam.DEFAULT_POOLS, 6: (ipam.unique_local(seed),)}
    by_version: dict[int, dict[str, Any]] = {}
    for pool in asked:
        if not pool.get("subnet"):
            continue
        version = _version(pool["subnet"])
        if version in by_version:
            raise errors.InvalidArgument(
                f"only one IPv{version} subnet per network is supported, not also {pool['subnet']}"
            )
        by_version[version] = pool
    rest = next((pool for pool in asked if not pool.get("subnet")), {})
    found = []
    for version, wanted in ((4, ipv4), (6, ipv6)):
        if wanted:
            usual = rest if version == 4 else {}
            pool = by_version.get(version, usual)
            bases = [one for one in defaults if one[0].version == version] or ours[version]
            found.append(_complete(pool, taken, bases, version not in no_gateway))
    if not found:
        raise errors.InvalidArgument("IPv4 or IPv6 must be enabled")
    return found


def _version(text: str) -> int:
    try:
        return ip_network(text, strict=False).version
    except ValueError:
        raise errors.InvalidArgument(
            f"invalid network config:\ninvalid subnet {text}: invalid CIDR block notation"
        ) from None


def _complete(
    pool: dict[str, Any],
    taken: list[Subnet],
    bases: Sequence[tuple[Subnet, int]],
    own_gateway: bool,
) -> dict[str, Any]:
    if pool.get("subnet"):
        subnet = ipam.parse_subnet(pool["subnet"], taken, gateway=own_gateway)
    else:
        subnet = ipam.choose_subnet(taken, bases)
    part = ipam.parse_range(subnet, pool["ip_range"]) if pool.get("ip_range") else None
    found: dict[str, Any] = {"subnet": str(subnet)}
    if not pool.get("subnet"):
        found["chosen"] = True
    if own_gateway or pool.get("gateway"):
        found["gateway"] = str(ipam.gateway(subnet, pool.get("gateway", ""), part))
    if part:
        found["ip_range"] = str(part)
    if pool.get("aux"):
        found["aux"] = {
            name: str(ipam.inside(subnet, text, f"aux-address {name}"))
            for name, text in pool["aux"].items()
        }
    return found


def of(spec: dict[str, Any], version: int) -> Pool | None:
    """The network's pool of this address family."""
    for pool in (spec.get("ipam") or {}).get("config") or ():
        subnet = ip_network(pool["subnet"])
        if subnet.version == version:
            gateway = ip_address(pool["gateway"]) if pool.get("gateway") else None
            reserved = {ip_address(text) for text in (pool.get("aux") or {}).values()}
            return Pool(
                subnet=subnet,
                gateway=gateway,
                part=ip_network(pool["ip_range"]) if pool.get("ip_range") else None,
                reserved=frozenset(reserved | ({gateway} if gateway else set())),
                chosen=bool(pool.get("chosen")),
            )
    return None
