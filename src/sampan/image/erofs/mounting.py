"""A layer file mounted, attached nowhere: the mount lives as long as its descriptor, or its users.

The kernel reads the file itself (Linux 6.12) or through a loop device: before that, and where the
file's own file system cannot be read that way (ENOTBLK: tmpfs, overlayfs).
"""

from __future__ import annotations

import os

from sampan.linux import loop
from sampan.linux.mount import MOUNT_ATTR, Filesystem

BACKINGS = ("file", "loop")
_LONGEST = 255  # bytes of one value of fsconfig(2)


def mount(path: str, backing: str) -> int:
    """A descriptor of the detached, read-only mount."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if backing == "file":
            short = len(os.fsencode(path)) <= _LONGEST
            return mount_device(path if short else f"/proc/self/fd/{file}")
        source, device = loop.attach(file)
        try:
            return mount_device(source)
        finally:
            os.close(device)
    finally:
        os.close(file)


def mount_device(source: str) -> int:
    """The same of a block device, or by a path that the kernel takes."""
    filesystem = Filesystem("erofs")
    try:
        filesystem.set("source", source)
        filesystem.set("ro")  # else the block device is opened for writing
    except OSError:
        filesystem.close()
        raise
    return filesystem.mount(MOUNT_ATTR.RDONLY)
