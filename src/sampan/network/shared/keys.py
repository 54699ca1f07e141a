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
    from collections.abc import Mapping

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
    """Views of a store's content, each text of which is read once: when it is new (`put`)."""

    def __init__(self, content: Mapping[str, str]) -> None:
        self._content = content
        self._hosts: dict[str, Host] = {}
        self._definitions: dict[str, Definition] = {}
        self._parts: dict[str, dict[Subnet, str]] = {}
        self._endpoints: dict[str, dict[str, Endpoint]] = {}
        for key, text in content.items():
            self.put(key, text)

    def put(self, key: str, text: str | None) -> None:
        """`content` has this key with another text now, or has it no more."""
        kind, _, rest = key.partition("/")
        network, _, what = rest.partition("/")
        what, _, name = what.partition("/")
        if kind == "hosts":
            _put(self._hosts, rest, parse(Host, text))
        elif kind == "networks" and what == "definition":
            _put(self._definitions, network, parse(Definition, text))
        elif kind == "networks" and what == "endpoints":
            _put(self._endpoints.setdefault(network, {}), name, parse(Endpoint, text))
        elif kind == "networks" and what == "parts" and (part := _part(name)):
            _put(self._parts.setdefault(network, {}), part, text)

    def hosts(self) -> dict[str, Host]:
        return dict(self._hosts)

    def definitions(self) -> dict[str, Definition]:
        """By network id."""
        return dict(self._definitions)

    def parts(self, network: str) -> dict[Subnet, str]:
        """Which host gives addresses from which part."""
        return dict(self._parts.get(network, {}))

    def endpoints(self, network: str) -> dict[str, Endpoint]:
        """By container id."""
        return dict(self._endpoints.get(network, {}))

    def endpoint(self, network: str, container: str) -> Endpoint | None:
        return self._endpoints.get(network, {}).get(container)

    def of(self, network: str) -> list[str]:
        """Every key that belongs to a network."""
        below = f"networks/{network}/"
        return [key for key, text in self._content.items() if text == network or below in key]


V = TypeVar("V")
W = TypeVar("W")


def _put(where: dict[W, V], key: W, value: V | None) -> None:
    if value is None:
        where.pop(key, None)
    else:
        where[key] = value


def _part(name: str) -> Subnet | None:
    try:
        return ip_network(name.replace("-", "/"))
    except ValueError:
        return None


def text(record: Host | Endpoint | Definition) -> str:
    return json.dumps(record.__dict__, sort_keys=True)


def parse(kind: type[T], text: str | None) -> T | None:
    """None for what is not sound: another program may write there, or a later one."""
    if text is None:
        return None
    try:
        found = json.loads(text)
        one = kind(**{name: found[name] for name in kind._fields})
        one.check()
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return one


def _plain(subnet: Subnet) -> str:
    return str(subnet).replace("/", "-")
