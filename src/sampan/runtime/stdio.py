"""The three descriptors that the command starts with: whose they are, and what they lead to.

`shield_null` is called while the host's /dev is in sight, `own_null` and `give` when the container
is built. What they open or change is the same whether the three came from the caller's own
descriptors, from a shim's pipes or from a terminal.
"""

from __future__ import annotations

import fcntl
import os
import stat

from sampan.linux import mount
from sampan.linux.mount import MOUNT_ATTR


def shield_null(stdio: tuple[int, ...]) -> None:
    """Of what the process starts with, the host's /dev/null becomes a read-only view of it.

    Through a descriptor of the host's node the container could change its owner, permissions and
    times. A device may be written to on a read-only mount all the same. Called while the host's
    /dev is in sight; nothing happens on kernels without the newer mount calls.
    """
    host = [fd for fd in stdio if _is_null(fd)]
    if not host:
        return
    try:
        tree = mount.open_tree("/dev/null", mount.OPEN_TREE.CLONE)
    except OSError:  # ENOSYS; EPERM for a user, who has no power over the node either
        return
    try:
        mount.set_attributes(tree, MOUNT_ATTR.RDONLY)
        view = os.open(f"/proc/self/fd/{tree}", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        for fd in host if _is_null(view) else ():
            os.dup2(view, fd)
        os.close(view)
    except OSError:  # as above
        pass
    finally:
        os.close(tree)


def own_null() -> None:
    """Instead of the host's /dev/null, or the view of it, the process gets the container's own."""
    host = [fd for fd in (0, 1, 2) if _is_null(fd)]
    if not host:
        return
    try:  # O_NONBLOCK: of what else may be there, a fifo for one would let us wait
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
        null = os.open("/dev/null", flags | os.O_NONBLOCK)
    except OSError:  # the container has none
        return
    if _is_null(null):
        os.set_blocking(null, True)
        for fd in host:
            os.dup2(null, fd)
    os.close(null)


def _is_null(fd: int) -> bool:
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)


def give(uid: int, gid: int) -> None:
    """Make pipes, sockets and files that are written to the user's own.

    Else `/dev/stdout` could not be opened by a user who is not root: that opens the pipe anew, and
    it belongs to whoever made it. A file that is only read stays whose it is, as do all devices.
    """
    for fd in (0, 1, 2):
        try:
            found = os.fstat(fd)
            if (found.st_uid, found.st_gid) != (uid, gid) and _may_be_given(fd, found.st_mode):
                os.fchown(fd, uid, gid)
        except OSError:  # closed, not mapped in the user namespace, read-only: as it is, then
            pass


def _may_be_given(fd: int, mode: int) -> bool:
    if stat.S_ISREG(mode):
        return fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
