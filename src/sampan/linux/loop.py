"""Loop devices: a file as a block device. loop(4).

path, fd = attach(file)        read-only; the device is free again when nobody uses it any more
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

_GET_FREE, _CONFIGURE = 0x4C82, 0x4C0A  # LOOP_CTL_GET_FREE, LOOP_CONFIGURE (Linux 5.8)
_READ_ONLY, _AUTOCLEAR = 1, 4
_CONFIG = struct.Struct("=II5Q4I64s64s32s2Q8Q")  # loop_config with its loop_info64
_TRIES = 64


def attach(file: int) -> tuple[str, int]:
    """A free device that shows the open file: its path, and a descriptor to close once it is
    mounted. OSError where the host has no loop devices."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for attempt in range(_TRIES):
            path = f"/dev/loop{fcntl.ioctl(control, _GET_FREE)}"
            device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _configure(device, file)
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY or attempt == _TRIES - 1:
                    raise
                continue  # somebody else was faster
            return path, device
    finally:
        os.close(control)
    raise AssertionError("unreachable")


def _configure(device: int, file: int) -> None:
    flags = _READ_ONLY | _AUTOCLEAR
    zeros = (0,) * 5
    config = _CONFIG.pack(file, 0, *zeros, 0, 0, 0, flags, b"", b"", b"", 0, 0, *((0,) * 8))
    fcntl.ioctl(device, _CONFIGURE, config)
