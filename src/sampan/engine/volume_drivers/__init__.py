"""The seam behind which a volume's bytes live.

A driver knows volumes by name and by the options they were made with; names, labels and who uses
what are the engine's (`engine.volumes`). The life of a volume is

    create(volume)      options are judged and the place is made; nothing is mounted
    mount(volume)       its files are at mountpoint(volume); before the first container that uses it
    unmount(volume)     after the last one has ended
    remove(volume)      the bytes are gone; never while mounted

`create` refuses what can never work (InvalidArgument, Unsupported) and leaves nothing behind then,
as does a `mount` that fails. `mount`, `unmount` and `remove` may be repeated: an engine that was
killed between two steps does them again. `mounted` is what the kernel says, not what was asked for.

All may block and are called in a thread, never twice at once for the same volume; `check`,
`mountpoint`, `lasting` and `status` are quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from sampan.kit.record import Record

if TYPE_CHECKING:
    from collections.abc import Mapping


class Wanted(Record):
    """A volume as its driver sees it."""

    name: str
    options: dict[str, str]


class VolumeDriver(Protocol):
    name: str
    scope: str  # "local": this host's own; "global": every host sees the same bytes

    def check(self, options: Mapping[str, str]) -> None:
        """Refuse options that can never work, or not on this host."""

    def create(self, volume: Wanted) -> None: ...

    def remove(self, volume: Wanted) -> None: ...

    def mountpoint(self, name: str) -> str: ...

    def lasting(self, volume: Wanted) -> bool:
        """Whether its files are always at the mountpoint, and `mount` has nothing to do."""

    def mount(self, volume: Wanted) -> None: ...

    def unmount(self, volume: Wanted) -> None: ...

    def mounted(self) -> set[str]:
        """Names of those that are mounted now, by whomever."""

    def status(self, volume: Wanted) -> dict[str, Any]:
        """What `inspect` shows beyond the options; may be empty."""
