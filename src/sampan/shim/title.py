"""What ps(1) calls this process: `set("sampan-monitor", "3f2a…")` shows `sampan-monitor: 3f2a…`."""

from __future__ import annotations

import ctypes
import os


def set(name: str, detail: str = "") -> None:
    """`name` (15 bytes of it) becomes the thread's name, both together the command line.

    The command line lives in the process's own memory, between arg_start and arg_end of
    /proc/self/stat (proc(5), fields 48 and 49); it can be overwritten but not made longer.
    """
    comm = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
    os.write(comm, name.encode())
    os.close(comm)
    stat = os.open("/proc/self/stat", os.O_RDONLY | os.O_CLOEXEC)
    fields = os.read(stat, 4096).rpartition(b")")[2].split()
    os.close(stat)
    start, end = int(fields[45]), int(fields[46])
    text = (f"{name}: {detail}" if detail else name).encode()[: max(0, end - start - 1)]
    if end > start:
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)
