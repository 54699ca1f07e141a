"""Where the blocking rooms and the asyncio rooms meet."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function off the event loop.

    For disk and system calls. Work that eats a core goes to a process; forking and
    namespace work never happen here (they need a single-threaded process).
    """
    return await asyncio.to_thread(function, *args, **kwargs)


async def in_own_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for what waits for others' work, and for long: `in_thread`'s threads are few, and
    would all be taken by those who wait for one."""
    context = contextvars.copy_context()
    pool = ThreadPoolExecutor(1, "own")
    try:
        work = pool.submit(context.run, functools.partial(function, *args, **kwargs))
        return await asyncio.wrap_future(work)
    finally:
        pool.shutdown(wait=False)
