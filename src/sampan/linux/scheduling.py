"""When and where a process runs: sched_setattr(2), ioprio_set(2), set_mempolicy(2).

All three act on the calling process and import nothing: they are for a child between fork and exec.
"""

from __future__ import annotations

import os
import struct

from sampan.linux import _libc

_NUMBERS = {  # sched_setattr, ioprio_set, set_mempolicy; the second row is asm-generic/unistd.h
    "x86_64": (314, 251, 238),
}
_GENERIC = (274, 30, 237)

POLICIES = {  # sched(7)
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
SCHED_FLAGS = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
IO_CLASSES = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
_IOPRIO_WHO_PGRP = 2
MEMORY_MODES = {  # linux/mempolicy.h
    "MPOL_DEFAULT": 0,
    "MPOL_PREFERRED": 1,
    "MPOL_BIND": 2,
    "MPOL_INTERLEAVE": 3,
    "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5,
    "MPOL_WEIGHTED_INTERLEAVE": 6,
}
MEMORY_FLAGS = {
    "MPOL_F_NUMA_BALANCING": 1 << 13,
    "MPOL_F_RELATIVE_NODES": 1 << 14,
    "MPOL_F_STATIC_NODES": 1 << 15,
}


def _number(index: int) -> int:
    return _NUMBERS.get(os.uname().machine, _GENERIC)[index]


def attributes(
    policy: int, flags: int, nice: int, priority: int, runtime: int, deadline: int, period: int
) -> bytes:
    """struct sched_attr in its first version, which every kernel takes."""
    return struct.pack("=IIQiIQQQ", 48, policy, flags, nice, priority, runtime, deadline, period)


def set_scheduler(attr: bytes) -> None:
    _libc.raw_system_call("sched_setattr", _number(0), 0, attr, 0)


def set_io_priority(priority: int) -> None:
    """For the whole process group of the caller; `priority` is class << 13 | level."""
    _libc.raw_system_call("ioprio_set", _number(1), _IOPRIO_WHO_PGRP, 0, priority)


def set_memory_policy(mode: int, nodes: bytes) -> None:
    """`nodes` is a mask of NUMA nodes, the lowest byte first; empty where the mode takes none."""
    if not nodes:
        _libc.raw_system_call("set_mempolicy", _number(2), mode, 0, 0)
        return
    mask = nodes + bytes(-len(nodes) % 8)
    # the kernel takes one bit less than it is told
    _libc.raw_system_call("set_mempolicy", _number(2), mode, mask, len(mask) * 8 + 1)
