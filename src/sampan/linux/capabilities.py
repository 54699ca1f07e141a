"""capabilities(7): the five sets of a process, as bit masks."""

from __future__ import annotations

import errno

from sampan.linux import _libc, c, process

NAMES = (
    *("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID"),
    *("CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE"),
    *("CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW"),
    *("CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT"),
    *("CAP_SYS_PTRACE", "CAP_SYS_PACCT", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE"),
    *("CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_MKNOD", "CAP_LEASE"),
    *("CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE"),
    *("CAP_MAC_ADMIN", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ"),
    *("CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE"),
)
BITS = {name: 1 << number for number, name in enumerate(NAMES)}
ALL = (1 << len(NAMES)) - 1

_VERSION_3 = 0x20080522


class _Header(c.Structure):
    _fields_ = [("version", c.c_uint32), ("pid", c.c_int)]


_Data = c.c_uint32 * 6  # (effective, permitted, inheritable), low words then high words


def get() -> tuple[int, int, int]:
    """(effective, permitted, inheritable) of this thread."""
    data = _Data()
    _libc.capget(c.byref(_Header(_VERSION_3, 0)), c.byref(data))
    return data[0] | data[3] << 32, data[1] | data[4] << 32, data[2] | data[5] << 32


def set_(effective: int, permitted: int, inheritable: int) -> None:
    low, high = 0xFFFFFFFF, 32
    data = _Data(
        *(effective & low, permitted & low, inheritable & low),
        *(effective >> high, permitted >> high, inheritable >> high),
    )
    _libc.capset(c.byref(_Header(_VERSION_3, 0)), c.byref(data))


def bounding() -> int:
    """The bounding set of this process; proc(5), status."""
    with open("/proc/thread-self/status", "rb", buffering=0) as file:
        return int(file.read(4096).partition(b"CapBnd:")[2].split(maxsplit=1)[0], 16)


def drop_bounding(keep: int) -> None:
    """Drop all but `keep` from the bounding set (needs CAP_SETPCAP)."""
    for number in range(len(NAMES)):
        if keep >> number & 1:
            continue
        try:
            process.prctl(process.PR.CAPBSET_DROP, number)
        except OSError as error:
            if error.errno == errno.EINVAL:  # this kernel ends here
                return
            if process.prctl(process.PR.CAPBSET_READ, number):  # else it was gone already
                raise


def set_ambient(mask: int) -> None:
    """Exactly `mask`: each must be permitted and inheritable already."""
    raise_, clear_all = 2, 4
    process.prctl(process.PR.CAP_AMBIENT, clear_all)
    for number in range(len(NAMES)):
        if mask & (1 << number):
            process.prctl(process.PR.CAP_AMBIENT, raise_, number)
