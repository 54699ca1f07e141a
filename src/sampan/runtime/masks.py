"""linux.maskedPaths and linux.readonlyPaths: what a container shall not see, or not change.

Done before the pivot, because only mounts of our own namespace can be copied, and by descriptor.
"""

from __future__ import annotations

import errno
import os
import stat

from sampan.linux import files, mount
from sampan.linux.mount import MOUNT_ATTR
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.plan import Plan


def cover(plan: Plan, root: int, null: int) -> None:
    for path in plan.readonly_paths:
        _make_readonly(root, path)
    _mask(root, plan.masked_paths, null)


def _make_readonly(root: int, path: str) -> None:
    place = _open(root, path)
    if place >= 0:
        # only this mount's own flag is added: nosuid, nodev, noexec stay what they are
        tree = mount.bind(place, place, recursive=True, prepare=_read_only)
        os.close(tree)
        os.close(place)


def _read_only(tree: int) -> None:
    mount.set_attributes(tree, MOUNT_ATTR.RDONLY)


def _mask(root: int, paths: tuple[str, ...], null: int) -> None:
    """Cover directories with one shared empty read-only tmpfs, files with the host's /dev/null.

    `null` was opened on the host and checked: what the image calls /dev/null is not trusted
    (CVE-2025-31133).
    """
    empty = -1
    for path in dict.fromkeys([os.path.normpath(path) for path in paths]):
        place = _open(root, path)
        if place < 0:
            continue
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            os.close(mount.bind(null, place))
        elif empty < 0:  # once it is attached it can be copied
            empty = _empty_directory(place)
        else:
            os.close(mount.bind(empty, place))
        os.close(place)
    if empty >= 0:
        os.close(empty)


def _open(root: int, path: str) -> int:
    try:
        return files.open_in_root(root, path)
    except (FileNotFoundError, NotADirectoryError):
        return -1
    except OSError as error:
        raise errors.UnsafePath(f"{path} cannot be covered: {errors.reason(error)}") from error


_EMPTY = (("mode", "755"), ("nr_blocks", "1"), ("nr_inodes", "1"))


def _empty_directory(place: int) -> int:
    """An empty read-only tmpfs on a place; its descriptor."""
    try:
        filesystem = mount.Filesystem("tmpfs")
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        data = ",".join(f"{key}={value}" for key, value in _EMPTY)
        flags = mount.MS.RDONLY | mount.MS.NOSUID | mount.MS.NODEV
        mount.mount("tmpfs", files.magic(place), "tmpfs", flags, data)
        return mount.top(place)
    for key, value in _EMPTY:
        filesystem.set(key, value)
    filesystem.set("ro")
    tree = filesystem.mount(MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV)
    mount.move_mount(tree, place)
    return tree
