"""Namespaces: clone3(2), unshare(2), setns(2), and the mappings of user namespaces.

`clone3` must be called by a process with a single thread: the child is a copy of the interpreter
in the middle of this call and goes on as if nothing had happened.
"""

from __future__ import annotations

import os

from sampan.linux import _libc, c


class CLONE:
    NEWTIME = 0x00000080
    PIDFD = 0x00001000
    PARENT = 0x00008000
    NEWNS = 0x00020000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000
    INTO_CGROUP = 0x200000000


FLAGS = {  # the OCI name of a namespace → its flag; the order in which they are joined
    "user": CLONE.NEWUSER,
    "ipc": CLONE.NEWIPC,
    "uts": CLONE.NEWUTS,
    "network": CLONE.NEWNET,
    "pid": CLONE.NEWPID,
    "cgroup": CLONE.NEWCGROUP,
    "time": CLONE.NEWTIME,
    "mount": CLONE.NEWNS,  # last: it takes the paths of the others away
}
FILES = {  # the OCI name → its name under /proc/PID/ns
    "user": "user",
    "ipc": "ipc",
    "uts": "uts",
    "network": "net",
    "pid": "pid",
    "cgroup": "cgroup",
    "time": "time",
    "mount": "mnt",
}


class _CloneArgs(c.Structure):
    _fields_ = [
        (name, c.c_uint64)
        for name in (
            *("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack"),
            *("stack_size", "tls", "set_tid", "set_tid_size", "cgroup"),
        )
    ]


def clone3(flags: int, *, exit_signal: int = 17, cgroup: int = 0) -> tuple[int, int]:
    """Fork into new namespaces; (pid, pidfd) in the parent, (0, -1) in the child.

    `exit_signal` 0 goes with CLONE.PARENT: the child is then the caller's sibling. `cgroup` is a
    descriptor of a cgroup v2 directory, with CLONE.INTO_CGROUP.
    """
    pidfd = c.c_int(-1)
    args = _CloneArgs(
        flags=flags | CLONE.PIDFD,
        pidfd=c.addressof(pidfd),
        exit_signal=exit_signal,
        cgroup=cgroup,
    )
    pid = _libc.clone3(args, c.sizeof(args))
    return pid, (pidfd.value if pid else -1)


def unshare(flags: int) -> None:
    _libc.unshare(flags)


def setns(fd: int, flags: int = 0) -> None:
    """Join the namespace behind a descriptor, or those in `flags` of a process behind a pidfd."""
    _libc.setns(fd, flags)


def write_map(pid: int, kind: str, mappings: tuple[tuple[int, int, int], ...]) -> None:
    """Write `/proc/PID/uid_map` or `gid_map`: (inside, outside, size) each; once, as the parent."""
    text = "".join(f"{inside} {outside} {size}\n" for inside, outside, size in mappings)
    fd = os.open(f"/proc/{pid}/{kind}_map", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())  # one write(2) is all that user_namespaces(7) allows
    finally:
        os.close(fd)
