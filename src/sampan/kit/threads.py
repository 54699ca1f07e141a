"""Where the blocking rooms and the asyncio rooms meet."""

from __future__ import annotations

import asyncio
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
