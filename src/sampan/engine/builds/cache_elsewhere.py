"""Caches of other places, before a build and after it: `--cache-from` is opened, `--cache-to` made.

A cache that is not there, or cannot be read, is told and passed over: the build only takes longer.
One that cannot be written fails the build, unless `ignore-error=true`.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from sampan.engine.builds import cache_exports, caching
from sampan.kit import errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from contextlib import AbstractAsyncContextManager

    from sampan.build.cache_options import Export, Import
    from sampan.build.state import State
    from sampan.engine.builds.workshop import Workshop
    from sampan.engine.images import Report

    Tell = Callable[[str], AbstractAsyncContextManager[object]]  # a title, for the time of the work


async def take_in(workshop: Workshop, wanted: Iterable[Import], tell: Tell) -> None:
    for one in wanted:
        with suppress(errors.SampanError):
            async with tell(f"importing cache manifest from {one.place}"):
                place = await workshop.place(one)
                found = await caching.opened(place, workshop.lease.store)
                workshop.caching.imported.append(found)


async def give_out(
    workshop: Workshop, states: Iterable[State], wanted: Iterable[Export], tell: Tell
) -> dict[str, str]:
    """What BuildKit's clients are told: the manifest of a cache, by which they find it again."""
    answer: dict[str, str] = {}
    for one in wanted:
        if one.type == "inline":
            continue  # it goes where the image goes
        ignored = (errors.SampanError, OSError) if one.ignore_error else ()
        title = "client directory" if one.type == "local" else "registry"
        with suppress(*ignored):
            async with tell(f"exporting cache to {title}"):
                place = await workshop.place(one)
                made = await cache_exports.export(workshop, states, one, place)
            answer["cache.manifest"] = json.dumps(made)
    return answer


def classic(report: Report, *, quiet: bool) -> Tell:
    """In the classic builder's stream."""

    @asynccontextmanager
    async def tell(title: str) -> AsyncIterator[None]:
        if not quiet:
            await report({"stream": f"{title}\n"})
        try:
            yield
        except errors.SampanError as error:
            if not quiet:
                await report({"stream": f" ---> {error}\n"})
            raise

    return tell
