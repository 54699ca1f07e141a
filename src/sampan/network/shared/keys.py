"""What hosts write into a network store: keys, and the texts behind them.

    hosts/HOST                             {"name", "address"}            PRESENCE
    networks/ID/definition                 {"name", "created", "spec"}    FOREVER
    networks/ID/parts/10.0.0.16-28         HOST                           ADDRESSES
    networks/ID/endpoints/CONTAINER        {"host", "mac", "addresses", "names"}   PRESENCE
    names/NAME, subnets/10.0.0.0-24, numbers/4097    ID                   FOREVER

The last three keep a name, a subnet and a VXLAN's number from being had by two networks.
"""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING, Any, TypeVar

from sampan.kit import clock
from sampan.kit.record import Record
from sampan.network import dns_zone
from sampan.network.overlay import VNI

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sampan.network.ipam import Subnet


class Host(Record):
    name: str
    address: str  # "" where it has no tunnels

    def check(self) -> None:
        """Raises what is wrong, of whatever kind; so do the others."""
        if self.address:
            ip_address(self.address)


class Definition(Record):
    """A network as the engine's row has it."""

    name: str
    created: str
    spec: dict[str, Any]

    def check(self) -> None:
        clock.parse(self.created)
        int(self.spec["options"][VNI])
        for pool in self.spec["ipam"]["config"]:
            ip_network(pool["subnet"])


class Endpoint(Record):
    """A container on some host; `names` is what a resolver is told of it (`dns_zone`)."""

    host: str  # its id
    mac: str
    addresses: tuple[str, ...]
    names: dict[str, Any]

    def check(self) -> None:
        dns_zone.parse_host(self.names)
        if len(bytes.fromhex(self.mac.replace(":", ""))) != 6:
            raise ValueError(self.mac)
        for address in self.addresses:
            ip_address(address)


T = TypeVar("T", Host, Definition, Endpoint)


def host(identity: str) -> str:
    return f"hosts/{identity}"


def definition(network: str) -> str:
    return f"networks/{network}/definition"


def part(network: str, subnet: Subnet) -> str:
    return f"networks/{network}/parts/{_plain(subnet)}"


def endpoint(network: str, container: str) -> str:
    return f"networks/{network}/endpoints/{container}"


def unique(network: str, name: str, subnets: list[Subnet], number: int) -> dict[str, str]:
    """What this network has for itself."""
    keys = [f"names/{name}", f"numbers/{number}", *(f"subnets/{_plain(s)}" for s in subnets)]
    return dict.fromkeys(keys, network)


class Known:
    """Views of a store's content; of whatever mapping is handed in, as it is now."""

    def __init__(self, content: Mapping[str, str]) -> None:
        self._content = content

    def hosts(self) -> dict[str, Host]:
        found = ((key, _parse(Host, text)) for key, text in self._below("hosts/"))
        return {key: one for key, one in found if one}

    def definitions(self) -> dict[str, Definition]:
        """By network id."""
        found: dict[str, Definition] = {}
        for key, text in self._below("networks/"):
            network, _, kind = key.partition("/")
            if kind == "definition" and (one := _parse(Definition, text)):
                found[network] = one
        return found

    def parts(self, network: str) -> dict[Subnet, str]:
        """Which host gives addresses from which part."""
        found = {}
        for key, text in self._below(f"networks/{network}/parts/"):
            try:
                found[ip_network(key.replace("-", "/"))] = text
            except ValueError:
                continue
        return found

    def endpoints(self, network: str) -> dict[str, Endpoint]:
        """By container id."""
        below = self._below(f"networks/{network}/endpoints/")
        found = ((key, _parse(Endpoint, text)) for key, text in below)
        return {key: one for key, one in found if one}

    def endpoint(self, network: str, container: str) -> Endpoint | None:
        text = self._content.get(endpoint(network, container))
        return _parse(Endpoint, text) if text else None

    def of(self, network: str) -> list[str]:
        """Every key that belongs to a network."""
        below = f"networks/{network}/"
        return [key for key, text in self._content.items() if text == network or below in key]

    def _below(self, prefix: str) -> Iterator[tuple[str, str]]:
        for key, text in list(self._content.items()):
            if key.startswith(prefix):
                yield key.removeprefix(prefix), text


def text(record: Host | Endpoint | Definition) -> str:
    return json.dumps(record.__dict__, sort_keys=True)


def _parse(kind: type[T], text: str) -> T | None:
    """None for what is not sound: another program may write there, or a later one."""
    try:
        found = json.loads(text)
        one = kind(**{name: found[name] for name in kind._fields})
        one.check()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return one


def _plain(subnet: Subnet) -> str:
    return str(subnet).replace("/", "-")
