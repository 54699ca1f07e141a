"""The cyclic garbage collector, out of the way of work that makes many objects which stay.

It looks through all of them again and again: for a hundred thousand that is half of the time.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def paused() -> Iterator[None]:
    """May overlap with others in other threads: who has found it on turns it on again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
