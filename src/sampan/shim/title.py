"""What ps(1) calls this process: `set("sampan-monitor", "3f2a…")` shows `sampan-monitor: 3f2a…`."""

from __future__ import annotations

import ctypes


def set(name: str, detail: str = "") -> None:
    """`name` (15 bytes of it) becomes the thread's name, both together the command line.

    The command line lives in the process's own memory, between arg_start and arg_end of
    /proc/self/stat (proc(5), fields 48 and 49); it can be overwritten but not made longer.
    """
    with open("/proc/self/comm", "w") as file:
        file.write(name)
    with open("/proc/self/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    text = (f"{name}: {detail}" if detail else name).encode()[: max(0, end - start - 1)]
    if end > start:
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
