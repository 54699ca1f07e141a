"""mallopt(3), malloc_trim(3): what the C library does with memory that was freed."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed(size: int) -> None:
    """Keep up to `size` freed bytes for the next use, large blocks too.

    A program that takes and frees a megabyte a thousand times over otherwise spends a third of its
    time in page faults. Without glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(_MMAP_THRESHOLD, size)
    mallopt(_TRIM_THRESHOLD, size)


def give_back() -> None:
    """Freed memory goes back to the system, of all threads; a few milliseconds for 50 MB."""
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:
        return
    malloc_trim(ctypes.c_size_t(0))
