"""A pull's layers unpacked while their bytes, or others', are still on their way.

A layer is unpacked when all of it is there. Beside that one large layer at a time is *followed*:
its worker reads what has come so far and waits for more. That is worth most for the last layer of a
pull, with which nothing else could go on at once. Where it fails, the finished blob is unpacked.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sampan.engine.images import register
from sampan.kit import errors
from sampan.registry.events import Event
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.engine.engine import Engine
    from sampan.engine.images import lazy, told
    from sampan.engine.images.leases import Lease

_WORTH_IT = 8 << 20  # bytes of a layer


class Unpacking:
    def __init__(self, engine: Engine, lease: Lease, tell: told.Teller, later: lazy.Pull) -> None:
        self._engine, self._lease, self._tell, self._later = engine, lease, tell, later
        self._diff_ids: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._known: dict[str, tuple[list[str], str]] = {}  # by digest: chain, diff_id
        self._followed: dict[str, asyncio.Task[int]] = {}  # by digest

    def expect(self, layers: Sequence[tuple[dict[str, Any], str]]) -> None:
        """Called when the config is known."""
        chain: list[str] = [*oci_image.chain_ids(diff_id for _, diff_id in layers)]
        for at, (layer, diff_id) in enumerate(layers):
            self._known.setdefault(layer["digest"], (chain[: at + 1], diff_id))

    def heard(self, event: Event) -> None:
        """Called for each event of the pull."""
        if (
            event.kind == "transferring"
            and _WORTH_IT <= event.total > event.current
            and event.digest in self._known
            and event.digest not in self._followed
            and all(task.done() for task in self._followed.values())
        ):
            chain, diff_id = self._known[event.digest]
            unpack = register.unpack(
                self._engine,
                self._lease,
                event.digest,
                chain=chain,
                diff_id=diff_id,
                follow=event.total,
            )
            self._followed[event.digest] = asyncio.create_task(unpack)

    async def begin(self, layer: dict[str, Any], diff_id: str) -> None:
        """Called for each layer, base first, as soon as its bytes are there."""
        self._diff_ids.append(diff_id)
        chain: list[str] = [*oci_image.chain_ids(self._diff_ids)]
        self._tasks.append(asyncio.create_task(self._one(layer, diff_id, chain)))
        for task in self._tasks:
            if task.done():
                task.result()  # a failure ends the pull at once

    async def _one(self, layer: dict[str, Any], diff_id: str, chain: list[str]) -> None:
        digest = layer["digest"]
        if digest in self._later:
            await self._later.begin(layer, chain, diff_id)
            return
        if digest in self._followed:
            try:
                await self._followed[digest]
            except errors.SampanError:
                pass  # the whole blob says whether it is really wrong
        await register.unpack(self._engine, self._lease, digest, chain=chain, diff_id=diff_id)
        self._tell(Event(kind="complete", digest=digest, diff_id=diff_id))

    async def finish(self) -> None:
        await register.together(self._tasks)

    async def cancel(self) -> None:
        tasks = [*self._tasks, *self._followed.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
