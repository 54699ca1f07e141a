"""What Docker gives a container of which nothing is said: capabilities, mounts, paths, devices.

Facts of moby: daemon/pkg/oci/{caps,defaults}.go, oci/devices.go; capabilities(7) for all names.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _capabilities(names: str) -> tuple[str, ...]:
    return tuple(f"CAP_{name}" for name in names.split())


CAPABILITIES = _capabilities(
    "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP "
    "NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
)
ALL_CAPABILITIES = _capabilities(
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)
MASKED_PATHS = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
    "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
    "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
)  # fmt: skip
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def _mount(destination: str, kind: str, source: str, options: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": kind,
        "source": source,
        "options": options.split(","),
    }


MOUNTS: tuple[dict[str, Any], ...] = (
    _mount("/proc", "proc", "proc", "nosuid,noexec,nodev"),
    _mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
    _mount(
        "/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"
    ),
    _mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
    _mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro,nosuid,noexec,nodev"),
    _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
    _mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777"),
)


def _allow(major: int, minor: int | None) -> dict[str, Any]:
    rule: dict[str, Any] = {"allow": True, "type": "c", "major": major, "access": "rwm"}
    return rule if minor is None else {**rule, "minor": minor}


DEVICE_RULES: tuple[dict[str, Any], ...] = (
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    _allow(1, 3), _allow(1, 5), _allow(1, 7), _allow(1, 8), _allow(1, 9),  # null zero full random
    _allow(5, 0), _allow(5, 1), _allow(5, 2), _allow(136, None),  # tty console ptmx pts
)  # fmt: skip
