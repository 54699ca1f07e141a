"""Figures from proc(5)."""

from __future__ import annotations

from sampan.linux.cgroup import files


def meminfo() -> dict[str, int]:
    """proc_meminfo(5) in bytes: `{"MemTotal": …, "SwapTotal": …}`."""
    lines = (line.split() for line in files.read("/proc/meminfo").splitlines())
    return {name[:-1]: int(value) * (1024 if unit else 1) for name, value, *unit in lines}


def boot_id() -> str:
    """Another one after each boot: what was running before is gone."""
    return files.read("/proc/sys/kernel/random/boot_id").strip()


def start_time(pid: int) -> int:
    """Ticks between boot and the start of a process; with the pid, its name for life.

    Field 22 of proc_pid_stat(5). Raises FileNotFoundError or ProcessLookupError when it is gone.
    """
    return int(_after_name(pid)[19])


def state(pid: int) -> str:
    """One letter: R, S, D, T, Z, …"""
    return _after_name(pid)[0]


def _after_name(pid: int) -> list[str]:
    """Fields from the third on; the second is a name in parentheses that may contain anything."""
    return files.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
