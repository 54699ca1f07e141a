"""The addresses a user asks for (`--ip`, `--ip6`): refused at create where they can never be given.

Docker's words: one line for each problem, below a head that names the network.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sampan.engine.engine import Engine
    from sampan.engine.pools import Pool

_OWN_RULES = ("cni", "overlay")  # whose addresses others give out, or several hosts agree on
_ONLY_CUSTOM = "user specified IP address is supported on user defined networks only"
_ONLY_SUBNETS = (
    "user specified IP address is supported only when connecting to networks with user configured "
    "subnets"
)


def check(engine: Engine, endpoints: Mapping[str, Any]) -> None:
    """Every endpoint of a new container; a network that does not exist yet is not asked."""
    for name, settings in endpoints.items():
        check_one(engine, name, settings or {}, f"invalid config for network {name}: ")


def check_one(engine: Engine, network: str, settings: dict[str, Any], head: str = "") -> None:
    """One network's settings. Raises InvalidArgument with all that is wrong."""
    if found := list(_problems(engine, network, settings.get("IPAMConfig") or {})):
        raise errors.InvalidArgument("\n".join([f"{head}invalid endpoint settings:", *found]))


def _problems(engine: Engine, network: str, asked: dict[str, Any]) -> Iterator[str]:
    wanted = {4: asked.get("IPv4Address"), 6: asked.get("IPv6Address")}
    if network in ("default", "bridge", "host", "none") and any(wanted.values()):
        yield _ONLY_CUSTOM
        return
    try:
        info = engine.networks.get(network)
    except errors.NotFound:
        return
    if info.driver not in _OWN_RULES and "ipam" in info.spec:
        for version, text in wanted.items():
            if text and (problem := _problem(info.pool(version), version, text)):
                yield problem


def _problem(pool: Pool | None, version: int, text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    if address is None or address.version != version:
        return f"invalid IPv{version} address: {text}"
    if pool is None:
        return ""  # a family that the network does not have is ignored
    if pool.chosen:
        return _ONLY_SUBNETS
    if address not in pool.subnet:
        return f"no configured subnet or ip-range contain the IP address {text}"
    return ""
