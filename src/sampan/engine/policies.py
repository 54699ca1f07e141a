"""Policies of containers: what their labels and their networks' options say, made so.

The same four names everywhere (`network.policy` has the language): a container's labels are about
all its traffic, a network's options about everybody's traffic on it.

    sampan.network.egress, .ingress             allow lists
    sampan.network.egress-rate, .ingress-rate   how fast, on each interface
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sampan.kit import errors
from sampan.linux import netns as namespaces
from sampan.linux.nft import Nft, Refused
from sampan.network import policy, policy_hits
from sampan.network.shaping import shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sampan.engine.containers.container import Container
    from sampan.engine.places import Place

_POWERS = ("ALL", "NET_ADMIN")


def check(config: Mapping[str, Any], host: Mapping[str, Any]) -> None:
    """When a container is created: a policy that cannot be read, or would not hold, is refused."""
    labels = _of_labels(config)
    if labels.restricts or labels.egress_rate:
        _check_powers(host)
    if labels != policy.Policy() and not _has_own_network(host):
        raise errors.InvalidArgument(
            "a network policy needs a network of the container's own, "
            f"not --network {host.get('NetworkMode')}"
        )


def compiled(container: Container, places: Sequence[Place]) -> policy.Compiled:
    return policy.compile(_pairs(container, places))


def _pairs(container: Container, places: Sequence[Place]) -> list[tuple[str, policy.Policy]]:
    """Each policy with the interface that it is about."""
    pairs = [("", _of_labels(container.config))]
    return pairs + [(place.endpoint.interface, place.network.policy) for place in places]


def hits(container: Container, places: Sequence[Place]) -> list[policy_hits.List]:
    """Its rules with what each has let through; none where nothing is restricted.

    Raises Conflict where it does not run, Unavailable.
    """
    if not container.running:
        raise errors.Conflict(f"container {container.name} is not running")
    pairs = _pairs(container, places)
    if not any(one.restricts for _, one in pairs):
        return []
    netns = os.open(f"/proc/{container.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with namespaces.entered(netns):
            nft = Nft()
    finally:
        os.close(netns)
    try:
        return policy_hits.read(nft, pairs)
    except Refused as e:
        raise errors.Unavailable(
            f"cannot read the network policy of container {container.name}: {e.strerror}"
        ) from e
    finally:
        nft.close()


def apply(
    container: Container, places: Sequence[Place], netns: int, *, before: Sequence[Place] = ()
) -> None:
    """Rules and rates in the namespace; `before`: its places when that was done the last time.

    Raises Conflict where the container could take them away, NetworkUnavailable, ….
    """
    labels = _of_labels(container.config)
    found = compiled(container, places)
    rated = any(place.network.policy.egress_rate for place in places)
    if found.text or rated:
        _check_powers(container.host_config)
    if found.names and not any(place.named for place in places):
        raise errors.InvalidArgument(
            f"names in {policy.PREFIX}egress need a user-defined network, whose name server sees "
            "what they stand for; the default bridge has none"
        )
    if found.text or (before and compiled(container, before).text):
        _load(container, found.text or policy.NOTHING, netns)
    for place in places:
        shape(
            place.network,
            place.endpoint,
            netns,
            egress=_slower(labels.egress_rate, place.network.policy.egress_rate),
            ingress=_slower(labels.ingress_rate, place.network.policy.ingress_rate),
        )


def _load(container: Container, text: str, netns: int) -> None:
    with namespaces.entered(netns):
        nft = Nft()
    try:
        nft.run(text)
    except Refused as e:
        raise errors.Unavailable(
            f"cannot set the network policy of container {container.name}: {e.strerror}"
        ) from e
    finally:
        nft.close()


def _of_labels(config: Mapping[str, Any]) -> policy.Policy:
    return policy.parse(config.get("Labels") or {})


def _check_powers(host: Mapping[str, Any]) -> None:
    added = {str(name).upper().removeprefix("CAP_") for name in host.get("CapAdd") or ()}
    if host.get("Privileged") or added & set(_POWERS):
        what = "--privileged" if host.get("Privileged") else "--cap-add NET_ADMIN"
        raise errors.Conflict(
            f"a container with {what} could take its network policy away; use one of them"
        )


def _has_own_network(host: Mapping[str, Any]) -> bool:
    mode = host.get("NetworkMode") or "default"
    return mode not in ("host", "none") and not mode.startswith("container:")


def _slower(*rates: int) -> int:
    return min((rate for rate in rates if rate), default=0)
