"""A snapshot's mounts, made in this process's mount namespace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sampan.linux import mount, overlay
from sampan.linux.mount import MNT, MOUNT_ATTR, MS, OPEN_TREE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.image.snapshots import Mount


def attach(mounts: Sequence[Mount], target: str) -> None:
    """Mount what a Snapshotter's `view` gave at a directory, read-only. All or nothing."""
    done = 0
    try:
        for item in mounts:
            place = os.path.normpath(f"{target}/{item.destination}")
            if {"bind", "rbind"} & set(item.options):
                _bind(item.source, place)
            else:
                options = [option for option in item.options if option not in ("ro", "rw")]
                overlay.mount(place, options, MS.RDONLY | MS.NODEV | MS.NOSUID)
            done += 1
            mount.mount(None, place, None, MS.PRIVATE)
    except BaseException:
        if done:
            detach(target)
        raise


def _bind(source: str, place: str) -> None:
    tree = mount.open_tree(source, OPEN_TREE.CLONE)
    try:
        mount.set_attributes(tree, MOUNT_ATTR.RDONLY | MOUNT_ATTR.NODEV | MOUNT_ATTR.NOSUID)
        mount.move_mount(tree, place)
    finally:
        os.close(tree)


def is_attached(target: str) -> bool:
    """Whether anything is mounted there. A bind of the same file system has the same st_dev, so
    only the mount table knows (proc_pid_mountinfo(5))."""
    wanted = os.path.realpath(target).replace(" ", "\\040").encode()
    with open("/proc/self/mountinfo", "rb") as table:
        return any(line.split(b" ", 5)[4] == wanted for line in table)


def detach(target: str) -> None:
    mount.umount(target, MNT.DETACH)
