"""`RUN --device`: which CDI devices of this host a step means.

`vendor.com/class=name` is one, `vendor.com/class=*` all of the class, `vendor.com/class` the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.build import entitlements
from sampan.engine import cdi
from sampan.engine.cdi_specs import Registry
from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sampan.build.instructions.run_device import Device
    from sampan.engine.settings import Settings


class NotRegistered(errors.NotFound):
    def __init__(self, name: str) -> None:
        super().__init__(f'required device "{name}" is not registered')


def wanted(
    devices: Sequence[Device],
    settings: Settings,
    allowed: frozenset[str],
    tell: Callable[[str], object],
) -> list[str]:
    """Full names. One that is not here is told, unless it is required: NotRegistered."""
    known = Registry(cdi.directories(settings)).names() if devices else []
    found: list[str] = []
    for device in devices:
        names = _named(device.name, known)
        if not names and device.required:
            raise NotRegistered(device.name)
        if not names:
            tell(f'the device "{device.name}" is not registered: the step goes without it\n')
        found += names
    for name in found:
        entitlements.check_device(name, allowed)
    return list(dict.fromkeys(found))


def _named(text: str, known: list[str]) -> list[str]:
    kind, _, name = text.partition("=")
    of_kind = [one for one in known if one.startswith(f"{kind}=")]
    if name in ("", "*"):
        return of_kind if name else of_kind[:1]
    return [one for one in of_kind if one == text]
