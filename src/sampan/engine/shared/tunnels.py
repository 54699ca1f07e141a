"""Where the tunnels of shared networks lead: to whom the mirror knows on other hosts.

tunnels.settle(engine, mirror, networks)       compared with what the kernel has
tunnels.follow(engine, mirror, former)         what has changed, which costs no more than that
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from sampan.engine.shared import importing
from sampan.kit import errors
from sampan.network.overlay import Far
from sampan.network.shared import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sampan.engine.engine import Engine
    from sampan.engine.shared.mirror import Mirror
    from sampan.network.shared.store import Changes

    Former = dict[str, keys.Endpoint | None]  # of containers, what was known before

log = logging.getLogger("sampan.networks")


def settle(engine: Engine, mirror: Mirror, networks: Iterable[str]) -> None:
    addresses = _addresses(mirror)
    for info in importing.rows(engine, networks):
        far = _far(mirror.far(info.id).values(), addresses)
        try:
            engine.host_networks.settle(info, addresses.values(), far)
        except errors.SampanError as e:
            log.warning("%s", e)


def follow(engine: Engine, mirror: Mirror, former: Mapping[str, Former]) -> None:
    """`former`: network → what its endpoints were that are something else now."""
    addresses = _addresses(mirror)
    for info in importing.rows(engine, former):
        before, now = former[info.id], mirror.far(info.id)
        gone = [one for one in before.values() if one]
        come = [now.pop(container) for container in before if container in now]
        stay = _like(gone, now.values())
        try:
            engine.host_networks.tell(
                info,
                gone=_far(gone, addresses),
                come=_far(come, addresses),
                stay=_far(stay, addresses),
            )
        except errors.SampanError:
            settle(engine, mirror, [info.id])


def _like(gone: Sequence[keys.Endpoint], some: Iterable[keys.Endpoint]) -> list[keys.Endpoint]:
    """Those that have a MAC or an address of one that is gone."""
    macs = {one.mac for one in gone}
    addresses = {address for one in gone for address in one.addresses}
    return [o for o in some if o.mac in macs or not addresses.isdisjoint(o.addresses)]


def touched(former: Changes) -> dict[str, Former]:
    """The endpoints among these keys, by network."""
    found: dict[str, Former] = {}
    for key, text in former.items():
        kind, _, rest = key.partition("/")
        network, _, what = rest.partition("/")
        if kind == "networks" and what.startswith("endpoints/"):
            container = what.removeprefix("endpoints/")
            found.setdefault(network, {})[container] = keys.parse(keys.Endpoint, text)
    return found


def _addresses(mirror: Mirror) -> dict[str, str]:
    """Of the other hosts that have one, by id."""
    return {i: host.address for i, host in mirror.others().items() if host.address}


def _far(some: Iterable[keys.Endpoint], addresses: Mapping[str, str]) -> Iterator[Far]:
    for one in some:
        if one.host in addresses:
            yield Far(host=addresses[one.host], mac=one.mac, addresses=tuple(one.addresses))
