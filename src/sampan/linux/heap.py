"""mallopt(3): what the C library does with memory that was freed."""

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
