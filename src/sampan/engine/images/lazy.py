"""Lazy pull: layers that containers use while their bytes come (engine/pages, image/lazy).

`Pull` decides for one pull which layers are fetched so, and makes them. `keep` has a page server as
long as layers wait for bytes: one that dies is replaced.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING, Any

from sampan.image import estargz, platforms
from sampan.image.erofs_snapshots import Erofs
from sampan.image.lazy import filling, plan, toc
from sampan.kit import errors
from sampan.kit.threads import in_thread
from sampan.linux import unix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sampan.engine.engine import Engine
    from sampan.engine.images.leases import Lease
    from sampan.image.content import ContentStore
    from sampan.registry.auth import Credentials
    from sampan.registry.client import Client

log = logging.getLogger("sampan.lazy")
SMALLEST = 1 << 20  # bytes of a blob: less is here as soon as its table of contents
_TAIL = 128 << 10  # bytes that the first request brings: of most layers, the whole table
_LARGEST_TABLE = 256 << 20
_PAUSE = 1.0
_STEADY = 10.0  # seconds; a page server that lived shorter is not replaced at once


class Pull:
    def __init__(
        self,
        engine: Engine,
        lease: Lease,
        client: Client,
        credentials: Credentials | None,
        say: Callable[[dict[str, Any]], None],
    ) -> None:
        self._engine, self._lease, self._client = engine, lease, client
        self._credentials, self._say = credentials, say
        self._starts: dict[str, tuple[int, bytes, bytes, plan.Plan]] = {}  # by digest

    def __contains__(self, digest: str) -> bool:
        return digest in self._starts

    async def takes(self, layer: dict[str, Any]) -> bool:
        """Whether this layer's bytes may come later; its table of contents is here then."""
        digest = layer["digest"]
        if layer["size"] < SMALLEST:
            return False
        try:
            self._check(layer)
            offset, tail = await self._tail(layer)
            packed = tail[: -toc.FOOTER]
            table = await in_thread(toc.unpack, packed, layer["annotations"][estargz.TOC_DIGEST])
            made = await in_thread(plan.Plan, table, layer["size"], offset)
        except errors.SampanError as error:
            self._say({"status": f"Pulled whole: {error}", "id": digest.partition(":")[2][:12]})
            return False
        self._starts[digest] = offset, table, tail, made
        self._lease.hold(digest)
        return True

    def _check(self, layer: dict[str, Any]) -> None:
        """What needs no request. Raises NotLazy."""
        if not isinstance(self._engine.snapshots, Erofs):
            raise toc.NotLazy(f"the snapshotter is {self._engine.snapshots.name}")
        if not estargz.is_one(layer):
            raise toc.NotLazy("it is no eStargz")
        for needed in ("/dev/fuse", "/dev/loop-control"):
            if not os.path.exists(needed):
                raise toc.NotLazy(f"this host has no {needed}")

    async def _tail(self, layer: dict[str, Any]) -> tuple[int, bytes]:
        """Where the table begins, and the blob from there on."""
        size = layer["size"]
        have = min(size, _TAIL)
        tail = await self._client.read_range(layer, size - have, have)
        offset = toc.footer(tail[-toc.FOOTER :])
        if not 0 < size - offset <= _LARGEST_TABLE:
            raise toc.NotLazy("its footer names an impossible offset")
        if offset < size - have:
            more = await self._client.read_range(layer, offset, size - have - offset)
            return offset, more + tail
        return offset, tail[offset - (size - have) :]

    async def begin(self, layer: dict[str, Any], chain: list[str], diff_id: str) -> None:
        """Make the layer, and have it served."""
        snapshots, digest = self._engine.snapshots, layer["digest"]
        assert isinstance(snapshots, Erofs)
        offset, table, tail, made = self._starts[digest]
        await self._lease.layer(chain[-1])
        if not snapshots.has(chain[-1]):
            promise = filling.Promise(
                reference=str(self._client.reference),
                blob=digest,
                size=layer["size"],
                diff_id=diff_id,
                toc_offset=offset,
            )
            start = filling.Start(promise=promise, table=table, tail=tail, plan=made)
            parent = chain[-2] if len(chain) > 1 else None
            await in_thread(snapshots.promise, chain[-1], parent, start)
        place = snapshots.layer(chain[-1])
        if filling.promised(place) is not None:
            await in_thread(self._engine.pages.device, place, self._credentials)
            self._engine.images.lazy.wake()


class NotWhole(errors.Conflict):
    def __init__(self, blob: str) -> None:
        super().__init__(f"layer {blob} is still being fetched (lazy pull); try again later")
        self.blob = blob


def must_be_whole(engine: Engine, digests: Sequence[str]) -> None:
    """For who needs blobs of manifests or indexes, not just their files. Raises NotWhole."""
    if isinstance(engine.snapshots, Erofs) and (waiting := engine.snapshots.promised()):
        promised = {promise.blob for promise in waiting.values()}
        for blob in _blobs(engine.store, digests):
            if blob in promised and blob not in engine.store:
                raise NotWhole(blob)


def _blobs(store: ContentStore, digests: Sequence[str]) -> Iterator[str]:
    for digest in digests:
        if digest in store:
            blobs, documents = platforms.parts(store, digest)
            yield from blobs
            yield from _blobs(store, documents)


class Keeper:
    """Sees to it that a page server runs while there is something for it to do."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._task: asyncio.Task[Any] | None = None
        self._news = False

    def wake(self) -> None:
        """There is a lazy layer, or may be."""
        self._news = True
        if self._task is None or self._task.done():
            self._task = self._engine.spawn(self._keep(), "keeping lazy layers served")

    async def _keep(self) -> None:
        snapshots = self._engine.snapshots
        while isinstance(snapshots, Erofs):
            self._news = False
            promised = await in_thread(snapshots.promised)
            waiting = [place for place, promise in promised.items() if not promise.failed]
            if not waiting and not self._news:
                self._engine.pages.let_go()
                return
            began = asyncio.get_running_loop().time()
            for place in waiting:
                try:
                    await in_thread(self._engine.pages.device, place)
                except (errors.SampanError, OSError) as error:
                    log.warning("%s: %s", place, error)
                    self._engine.pages.let_go()
            await self._until_it_ends()
            if asyncio.get_running_loop().time() - began < _STEADY:
                await asyncio.sleep(_PAUSE)

    async def _until_it_ends(self) -> None:
        try:
            sock = unix.connect(self._engine.pages.address)
            reader, writer = await asyncio.open_unix_connection(sock=sock)
        except OSError:
            return
        try:
            await reader.read()
        finally:
            writer.close()
