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


def ignores(pid: int, signal: int) -> bool:
    """Whether a signal to this process is lost without a trace: it ignores it, or it is PID 1 of a
    PID namespace and has no handler (pid_namespaces(7)). One that is blocked is only waiting.

    SIGKILL and SIGSTOP from outside are never lost. FileNotFoundError or ProcessLookupError when
    the process is gone.
    """
    fields = {}
    for line in files.read(f"/proc/{pid}/status").splitlines():
        name, _, value = line.partition(":")
        fields[name] = value.strip()
    if signal in (9, 19) or int(fields["SigBlk"], 16) >> signal - 1 & 1:
        return False
    if int(fields["SigIgn"], 16) >> signal - 1 & 1:
        return True
    handled = int(fields["SigCgt"], 16) >> signal - 1 & 1
    inside = fields.get("NSpid", "").split()
    return not handled and len(inside) > 1 and inside[-1] == "1"


def state(pid: int) -> str:
    """One letter: R, S, D, T, Z, …"""
    return _after_name(pid)[0]


def _after_name(pid: int) -> list[str]:
    """Fields from the third on; the second is a name in parentheses that may contain anything."""
    return files.read(f"/proc/{pid}/stat").rpartition(")")[2].split()
