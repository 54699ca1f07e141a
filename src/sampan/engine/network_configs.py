"""Networks that are only a configuration (`--config-only`), and those made after one
(`--config-from`).

A configuration has a row and a name as every network, and nothing on the host: its pools are what
was asked for, and become addresses in each network that is made after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.engine.errors import NotPermitted
from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sampan.engine.engine import Engine
    from sampan.engine.network_info import NetworkInfo

DRIVER = "null"
_TAKEN_OVER = ("asked", "ipam_options", "ipv4", "ipv6", "options")


def spec_of(asked: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration's `spec`, from the words of `Networks.create`. NotPermitted for more."""
    if asked.get("internal") or asked.get("attachable"):
        raise NotPermitted(
            "configuration network can only contain network specific fields. Network operator"
            " fields like [ ingress | internal | attachable | scope ] are not supported."
        )
    return {
        "configuration": {name: asked[name] for name in _TAKEN_OVER},
        "labels": asked["labels"] or {},
    }


def after(engine: Engine, name: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The words for `Networks.create`, with what the configuration `name` says."""
    try:
        found = engine.networks.get(name)
    except errors.NotFound:
        found = None
    if found is None or not is_one(found):
        raise errors.NotFound(f'configuration network "{name}" does not exist')
    own = (asked[word] for word in ("asked", "ipam_options", "ipv6", "labels"))
    if any(own) or not asked["ipv4"]:
        raise NotPermitted(
            "user-specified configurations are not supported if the network depends on a"
            " configuration network"
        )
    if asked["options"]:
        raise NotPermitted(
            "network driver options are not supported if the network depends on a configuration"
            " network"
        )
    return {**asked, **found.spec["configuration"], "labels": found.spec["labels"]}


def is_one(info: NetworkInfo) -> bool:
    return "configuration" in info.spec


def check_unused(engine: Engine, info: NetworkInfo) -> None:
    """Raises NotPermitted while a network made after it is there."""
    if is_one(info) and engine.db.value(
        "select 1 from networks where json_extract(spec, '$.after') = ?", (info.name,)
    ):
        raise NotPermitted(f'configuration network "{info.name}" is in use')
