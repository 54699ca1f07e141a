"""A snapshot's mounts, made in this process's mount namespace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.linux import mount
from sampan.linux.mount import MNT, MOUNT_ATTR, OPEN_TREE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.image.snapshots import Mount

_FLAGS = ("ro", "rw", "bind", "rbind")


def attach(mounts: Sequence[Mount], target: str) -> None:
    """Mount what a Snapshotter's `view` gave at a directory, read-only. All or nothing."""
    done = 0
    try:
        for item in mounts:
            place = os.path.normpath(f"{target}/{item.destination}")
            tree = _tree(item)
            try:
                mount.set_attributes(tree, MOUNT_ATTR.RDONLY | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOSUID)
                mount.move_mount(tree, place)
                mount.set_attributes(tree, propagation=mount.MS.PRIVATE)
            finally:
                os.close(tree)
            done += 1
    except BaseException:
        if done:
            detach(target)
        raise


def _tree(item: Mount) -> int:
    if {"bind", "rbind"} & set(item.options):
        return mount.open_tree(item.source, OPEN_TREE.CLONE)
    filesystem = mount.Filesystem(item.type)
    filesystem.set("source", item.source)
    for option in item.options:
        key, equals, value = option.partition("=")
        if key == "lowerdir":
            for layer in value.split(":"):
                filesystem.set("lowerdir+", layer)
        elif key not in _FLAGS:
            filesystem.set(key, value if equals else None)
    return filesystem.mount(MOUNT_ATTR.RDONLY)


def is_attached(target: str) -> bool:
    """Whether anything is mounted there. A bind of the same file system has the same st_dev, so
    only the mount table knows (proc_pid_mountinfo(5))."""
    wanted = os.path.realpath(target).replace(" ", "\\040").encode()
    with open("/proc/self/mountinfo", "rb") as table:
        return any(line.split(b" ", 5)[4] == wanted for line in table)


def detach(target: str) -> None:
    mount.umount(target, MNT.DETACH)
