"""Loop devices: a file as a block device. loop(4).

path, fd = attach(file)        read-only; the device is free again when nobody uses it any more
change(fd, other)              it shows another file of the same size, whoever uses it
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct

_GET_FREE, _CONFIGURE = 0x4C82, 0x4C0A  # LOOP_CTL_GET_FREE, LOOP_CONFIGURE (Linux 5.8)
_GET_STATUS, _CHANGE_FD, _SET_DIRECT_IO = 0x4C05, 0x4C06, 0x4C08
_READ_ONLY, _AUTOCLEAR = 1, 4
_NAME = slice(56, 120)  # lo_file_name in loop_info64
_CONFIG = struct.Struct("=II5Q4I64s64s32s2Q8Q")  # loop_config with its loop_info64
_TRIES = 64


def attach(file: int, name: str = "") -> tuple[str, int]:
    """A free device that shows the open file: its path, and a descriptor to close once it is
    mounted. `name` (63 bytes at most) is what `name_of` tells. OSError where the host has no loop
    devices."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for attempt in range(_TRIES):
            path = _node(fcntl.ioctl(control, _GET_FREE))
            device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _configure(device, file, name)
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY or attempt == _TRIES - 1:
                    raise
                continue  # somebody else was faster
            return path, device
    finally:
        os.close(control)
    raise AssertionError("unreachable")


def _node(number: int) -> str:
    """The device's file; made where the kernel's do not appear: in a container's own /dev."""
    path = f"/dev/loop{number}"
    if not os.path.exists(path):
        with open(f"/sys/block/loop{number}/dev") as file:
            major, minor = map(int, file.read().split(":"))
        try:
            os.mknod(path, 0o660 | stat.S_IFBLK, os.makedev(major, minor))
        except FileExistsError:
            pass  # somebody else was faster
    return path


def _configure(device: int, file: int, name: str) -> None:
    flags = _READ_ONLY | _AUTOCLEAR
    zeros = (0,) * 5
    rest = (name.encode(), b"", b"", 0, 0, *((0,) * 8))
    config = _CONFIG.pack(file, 0, *zeros, 0, 0, 0, flags, *rest)
    fcntl.ioctl(device, _CONFIGURE, config)


def change(device: int, file: int) -> None:
    """LOOP_CHANGE_FD: from now on the device shows this file; what was under way is waited for."""
    fcntl.ioctl(device, _CHANGE_FD, file)


def read_directly(device: int, *, on: bool) -> None:
    """Past the file's page cache, and many reads at once instead of one after another."""
    fcntl.ioctl(device, _SET_DIRECT_IO, int(on))


def name_of(device: int) -> str:
    """What `attach` named it; empty where it shows no file any more."""
    status = bytearray(232)  # loop_info64
    try:
        fcntl.ioctl(device, _GET_STATUS, status)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return ""
        raise
    return bytes(status[_NAME]).rstrip(b"\0").decode(errors="replace")
