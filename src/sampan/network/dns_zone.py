"""What a container on a user-defined network may ask about, and the answers; pure.

A `Zone` is the hosts on one network, by container id. A `View` is what one container sees: its
networks in order, the names that `--link` gave it, and whom to ask the rest. `answer` gives the
bytes for a question about ours and None for the rest of the world:

    NAME, NAME.NETWORK      A, AAAA; another type of a known name is an empty answer
    4.3.2.1.in-addr.arpa    PTR, also ip6.arpa
    _80._tcp.NAME           SRV of the containers called that which expose the port; also by the
                            service's name, _http._tcp.NAME (RFC 2782)
"""

from __future__ import annotations

from sampan.kit.record import Record
from sampan.network import dns_message, policy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from sampan.network.dns_message import Query

_TTL = 600  # seconds, Docker's


class Host(Record):
    """One container on one network. `called` has its names there, in lower case."""

    name: str
    addresses: tuple[str, ...]
    called: tuple[str, ...]
    ports: tuple[tuple[int, str, str], ...] = ()  # number, protocol, the service's name or ""


class View(Record):
    networks: tuple[tuple[str, str], ...]  # id, name in lower case
    links: Mapping[str, Mapping[str, str]] = {}  # network id → alias → container id or name
    upstreams: tuple[str, ...] = ()
    admitted: tuple[tuple[str, str], ...] = ()  # a policy's names: pattern → nft sets
    closed: bool = False  # nothing else is asked of the upstreams

    def sets(self, name: str) -> list[str]:
        """Where the addresses of this name go."""
        return [found for pattern, found in self.admitted if policy.matches(pattern, name)]


class Zone:
    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self._called: dict[str, list[Host]] | None = None
        self._at: dict[str, Host] = {}

    def put(self, container: str, host: Host | None) -> None:
        self.hosts.pop(container, None)
        if host is not None:
            self.hosts[container] = host
        self._called = None

    def called(self, name: str) -> list[Host]:
        return self._indexed().get(name, [])

    def at(self, address: str) -> Host | None:
        self._indexed()
        return self._at.get(address)

    def _indexed(self) -> dict[str, list[Host]]:
        if self._called is None:
            self._called = {}
            self._at = {a: host for host in self.hosts.values() for a in host.addresses}
            for host in self.hosts.values():
                for name in host.called:
                    self._called.setdefault(name, []).append(host)
        return self._called


def answer(
    query: Query, view: View, zones: Mapping[str, Zone], *, limit: int, turn: int = 0
) -> bytes | None:
    """`turn` rotates equal answers: the next client gets the next one first."""
    records: list[bytes] = []
    extra: list[bytes] = []
    if query.type == dns_message.PTR:
        names = _pointers(query.name, view, zones)
        if not names:
            return None
        records = [dns_message.pointer(name) for name in names]
    elif query.name.startswith("_"):
        found = _services(query.name, view, zones)
        if found is None:
            return None
        if query.type == dns_message.SRV:
            records = [dns_message.service(port, target) for target, port, _ in found]
            extra = [
                dns_message.address_record(target, address, _TTL)
                for target, _, host in found
                for address in host.addresses
            ]
    else:
        hosts = _hosts(query.name, view, zones)[1]
        if not hosts:
            return None
        size = {dns_message.A: 4, dns_message.AAAA: 16}.get(query.type, 0)
        data = (dns_message.address(text) for host in hosts for text in host.addresses)
        records = [one for one in data if len(one) == size]
    if records:
        start = turn % len(records)
        records = records[start:] + records[:start]
    return dns_message.answer(query, records, ttl=_TTL, limit=limit, extra=extra)


def _hosts(name: str, view: View, zones: Mapping[str, Zone]) -> tuple[str, list[Host]]:
    """The network on which somebody is called that, and who."""
    for identity, network in view.networks:
        zone = zones.get(identity)
        if zone is None:
            continue
        bare = name.removesuffix(f".{network}")
        found = zone.called(bare) or zone.called(name)
        if not found and (target := view.links.get(identity, {}).get(bare)):
            host = zone.hosts.get(target)
            found = [host] if host else zone.called(target)
        if found:
            return network, found
    return "", []


def _pointers(name: str, view: View, zones: Mapping[str, Zone]) -> list[str]:
    address = dns_message.reverse_address(name)
    for identity, network in view.networks:
        zone = zones.get(identity)
        host = zone.at(address) if zone and address else None
        if host:
            return [f"{host.name}.{network}"]
    return []


def _services(
    name: str, view: View, zones: Mapping[str, Zone]
) -> list[tuple[str, int, Host]] | None:
    """(target, port, host) for `_PORT._PROTOCOL.NAME`; None where NAME is not ours."""
    port, _, rest = name[1:].partition("._")
    protocol, _, owner = rest.partition(".")
    network, hosts = _hosts(owner, view, zones)
    if not hosts:
        return None
    return [
        (f"{host.name}.{network}", number, host)
        for host in hosts
        for number, kind, service in host.ports
        if kind == protocol and port in (str(number), service)
    ]


def host_message(host: Host) -> dict[str, Any]:
    return dict(host.__dict__)


def parse_host(message: Mapping[str, Any]) -> Host:
    fields = {name: _tuple(message[name]) for name in ("addresses", "called", "ports")}
    return Host(name=message["name"], **fields)


def view_message(view: View) -> dict[str, Any]:
    return dict(view.__dict__)


def parse_view(message: Mapping[str, Any]) -> View:
    return View(
        networks=_tuple(message["networks"]),
        links=message["links"],
        upstreams=_tuple(message["upstreams"]),
        admitted=_tuple(message["admitted"]),
        closed=message["closed"],
    )


def _tuple(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(tuple(item) if isinstance(item, list) else item for item in items)
