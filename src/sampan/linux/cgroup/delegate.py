"""A cgroup of v2 in the hands of somebody else: cgroups(7), "Delegation"."""

from __future__ import annotations

import os

from sampan.linux.cgroup import files

_LIST = "/sys/kernel/cgroup/delegate"  # what this kernel names; else what it is sure to have
_ALWAYS = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


def to(directory: str, uid: int) -> None:
    """`uid` may make cgroups in this one and move its processes between them, and no more."""
    names = files.read(_LIST).split() if files.exists(_LIST) else _ALWAYS
    for path in (directory, *(f"{directory}/{name}" for name in names)):
        try:
            os.chown(path, uid, -1)
        except FileNotFoundError:  # of a controller that is not enabled here
            pass
