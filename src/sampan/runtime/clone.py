"""A child in new and in joined namespaces: clone3, where needed by way of a process in between.

The child is the caller's own, also where the process in between made it, with CLONE_PARENT; or with
`sibling` our parent's. The caller must have one thread only.
"""

from __future__ import annotations

import errno
import os

from sampan.linux import namespaces, process
from sampan.linux.namespaces import CLONE
from sampan.linux.process import PR
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def clone(
    flags: int,
    child: Callable[[], None],
    *,
    user: int = -1,
    pids: int = -1,
    cgroup: int = -1,
    early: Callable[[], None] | None = None,
    sibling: bool = False,
) -> tuple[int, int]:
    """A child of ours in new namespaces, in the joined user and pid namespaces: (pid, pidfd).

    `early` runs in a process in between, with the caller's privilege, before any is joined.
    `sibling` where neither is asked for: it is a child of our parent.
    """
    # Not dumpable across the clone: from inside, only CAP_SYS_PTRACE over the host's user
    # namespace could look at a process that still is the host's (CVE-2016-9962).
    dumpable = process.prctl(PR.GET_DUMPABLE)
    if not (os.geteuid() and flags & CLONE.NEWUSER):  # a user could not write its id maps then
        process.prctl(PR.SET_DUMPABLE, 0)
    try:
        if user >= 0 or early:
            joined = [(user, CLONE.NEWUSER), (pids, CLONE.NEWPID)]
            return _clone_sibling(joined, flags, child, early)
        return _clone_child(flags, pids, child, cgroup, sibling)
    except OSError as error:
        hint = " (too many namespaces)" if error.errno == errno.ENOSPC else ""
        raise errors.NotPermitted(
            f"the namespaces of the container could not be made: {errors.reason(error)}{hint}"
        ) from error
    finally:
        process.prctl(PR.SET_DUMPABLE, 1 if dumpable == 1 else 0)


def _clone_child(
    flags: int, pids: int, child: Callable[[], None], cgroup: int, sibling: bool
) -> tuple[int, int]:
    own = -1
    if pids >= 0:  # a joined pid namespace is for children only, and the way back is open
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        namespaces.setns(pids, CLONE.NEWPID)
    try:
        flags |= CLONE.INTO_CGROUP if cgroup >= 0 else 0
        if sibling:  # it gets our own signal
            made = namespaces.clone3(flags | CLONE.PARENT, exit_signal=0, cgroup=max(cgroup, 0))
        else:
            made = namespaces.clone3(flags, cgroup=max(cgroup, 0))
        pid, pidfd = made
        if pid == 0:
            child()
        return pid, pidfd
    finally:
        if own >= 0:
            namespaces.setns(own, CLONE.NEWPID)
            os.close(own)


def _clone_sibling(
    joined: list[tuple[int, int]],
    flags: int,
    child: Callable[[], None],
    early: Callable[[], None] | None,
) -> tuple[int, int]:
    """Clone by way of a process that joins namespaces first; the result is the caller's child."""
    read, write = os.pipe()
    helper = os.fork()
    if helper == 0:
        try:
            if early:
                early()
            for fd, kind in joined:
                if fd >= 0:
                    namespaces.setns(fd, kind)
            pid, _ = namespaces.clone3(flags | CLONE.PARENT, exit_signal=0)
            if pid == 0:
                child()
            os.write(write, f"{pid}".encode())
        except OSError as error:
            os.write(write, f"-{error.errno}".encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(helper, 0)
    number = int(os.read(read, 32) or b"-5")
    os.close(read)
    if number < 0:
        raise OSError(-number, os.strerror(-number))
    return number, os.pidfd_open(number)
