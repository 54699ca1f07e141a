"""Kernel parameters under /proc/sys, of this thread's network namespace (proc(5), sysctl(8)).

A name is a path with slashes, because an interface's name may have dots.
"""

from __future__ import annotations

_TOP = "/proc/sys/"


def read(name: str) -> str | None:
    """None where the kernel has no such parameter."""
    try:
        with open(_TOP + name) as file:
            return file.read().strip()
    except FileNotFoundError:
        return None


def write(name: str, value: str) -> None:
    """Raises OSError naming the file."""
    with open(_TOP + name, "wb", buffering=0) as file:
        file.write(value.encode())


def ensure(name: str, value: str) -> None:
    """Write it unless it says so already, or does not exist."""
    found = read(name)
    if found is not None and found != value:
        write(name, value)
