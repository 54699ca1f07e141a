"""The attributes of a mount that was just made: flags, those of its whole tree, propagation.

A bind mount gets exactly what its options say (`options.bind_attributes`). In a user namespace the
kernel keeps what the source's owner set; that is accepted unless an option asked for the opposite.
"""

from __future__ import annotations

from sampan.linux import mount
from sampan.linux.mount import MOUNT_ATTR, MS
from sampan.runtime import options as mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.mount_plan import MountPlan

# What a user namespace that got a mount from another one cannot take off (mount_namespaces(7))
_LOCKABLE = (MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOEXEC) | (
    MOUNT_ATTR.ATIME | MOUNT_ATTR.NODIRATIME
)
_LOCKABLE_FLAGS = (
    (MS.RDONLY, MOUNT_ATTR.RDONLY),
    (MS.NOSUID, MOUNT_ATTR.NOSUID),
    (MS.NODEV, MOUNT_ATTR.NODEV),
    (MS.NOEXEC, MOUNT_ATTR.NOEXEC),
    (MS.NOATIME, MOUNT_ATTR.NOATIME),
    (MS.NODIRATIME, MOUNT_ATTR.NODIRATIME),
)


def apply(tree: int, item: MountPlan) -> None:
    """The options of a bind mount, first of its root, then those of the whole tree."""
    set_, clear = mount_options.bind_attributes(item.options)
    if set_ or clear:
        try:
            mount.set_attributes(tree, set_, clear)
        except PermissionError as error:
            _apply_locked(tree, item, error)
    recursively(tree, item)


def _apply_locked(tree: int, item: MountPlan, refused: PermissionError) -> None:
    """In a user namespace: keep what the source's owner locked, unless its loss was asked for."""
    now = mount.attributes_of(tree)
    chosen = item.options
    for flag, attribute in _LOCKABLE_FLAGS:
        if chosen.cleared & flag and now & attribute:
            raise refused
    set_, clear = mount_options.bind_attributes(chosen)
    atime = MOUNT_ATTR.ATIME | MOUNT_ATTR.NODIRATIME
    if clear & MOUNT_ATTR.ATIME and set_ & atime != now & atime:
        raise refused
    keep = now & _LOCKABLE
    mount.set_attributes(tree, (set_ | keep) & ~atime, clear & ~keep & ~atime)


def recursively(tree: int, item: MountPlan) -> None:
    chosen = item.options
    if chosen.recursive_set or chosen.recursive_clear:
        mount.set_attributes(tree, chosen.recursive_set, chosen.recursive_clear, recursive=True)


def propagate(tree: int, item: MountPlan) -> None:
    for flags in item.options.propagation:
        mount.set_attributes(tree, propagation=flags & ~MS.REC, recursive=bool(flags & MS.REC))
