"""Images: what can be run, under which names.

    image = images.get("busybox")           NoSuchImage, with Docker's sentence
    image.config["config"]["Cmd"]           the OCI image config
    await images.pull("debian:12", report=…); await images.load(chunks, report=…)

Bytes are in `engine.store`, unpacked layers in `engine.snapshots`, names and configs in the
database. An image's row is written when its bytes and its layers are all there; what no row names
is garbage (`garbage`).
"""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sampan.build import cache
from sampan.engine import spare_memory
from sampan.engine.errors import NoSuchImage
from sampan.engine.images import (
    archives,
    commit,
    garbage,
    happened,
    lazy,
    leases,
    listing,
    names,
    pull,
    push,
    remove,
    remove_platforms,
    variants,
)
from sampan.engine.images.listing import Summary
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.registry import search
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from sampan.engine.engine import Engine
    from sampan.engine.filters import Filters
    from sampan.registry.auth import Credentials
    from sampan.registry.pull import Pulled

    Report = Callable[[dict[str, Any]], Awaitable[None]]

__all__ = ["Image", "Images", "Summary"]


class Image(Record):
    id: str  # sha256 of the config, whatever the manifest names it by (config.md)
    manifest: str
    chain_id: str | None  # None: it has no layers
    config: dict[str, Any]  # OCI image config


class Images:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.leases = leases.Leases(engine.db, engine.store)
        self.garbage = garbage.Collector(engine)
        self.lazy = lazy.Keeper(engine)
        self.spare_memory = spare_memory.SpareMemory(engine)
        self.garbage.roots.append(cache.Records(engine.paths.root).digests)

    # -- looking

    def get(self, name: str) -> Image:
        """The image that a tag, a digest reference, an id or the start of one names."""
        row = names.row_of(self._engine.db, name)
        if row is None:
            raise NoSuchImage(names.shown(name))
        return Image(
            id=row["id"],
            manifest=row["manifest"],
            chain_id=row["chain_id"],
            config=_config(row["id"], row["config"]),
        )

    def exists(self, image_id: str) -> bool:
        return bool(self._engine.db.value("select 1 from images where id = ?", (image_id,)))

    def is_id(self, name: str) -> bool:
        """Whether `name` found its image as an id, not as a name."""
        return names.is_id(self._engine.db, name)

    def list(
        self, filters: Filters, *, shared: bool = False, between: bool = True
    ) -> Sequence[Summary]:
        return listing.list_(self._engine, filters, shared=shared, between=between)

    def summary(self, image_id: str) -> Summary:
        row = self._engine.db.row("select * from images where id = ?", (image_id,))
        if row is None:
            raise NoSuchImage(image_id)
        return listing.summary(self._engine, row)

    def history(self, name: str, *, platform: str = "") -> Sequence[dict[str, object]]:
        return listing.history(self._engine, name, platform)

    def for_platform(self, name: str, platform: str) -> Image:
        """The image of a name for a platform; NotForPlatform where it is not stored here."""
        image = self.get(name)
        manifest = variants.manifest(self._engine, name, platform)
        if manifest == image.manifest:
            return image
        image_id, config = variants.config(self._engine, manifest)
        chain = oci_image.chain_ids((config.get("rootfs") or {}).get("diff_ids") or [])
        return Image(
            id=image_id, manifest=manifest, chain_id=chain[-1] if chain else None, config=config
        )

    def target(self, name: str) -> dict[str, Any]:
        """The descriptor of what a name stands for: an index or a manifest."""
        return variants.descriptor(self._engine.store, variants.target(self._engine, name))

    def manifests(self, name: str) -> Sequence[dict[str, Any]]:
        """All platforms of a name, here or not, as Docker's ImageManifestSummary."""
        return variants.summaries(self._engine, name)

    def content_size(self) -> int:
        """Bytes of all blobs, and of those on their way."""
        store = self._engine.store
        return sum(map(store.size, store.walk())) + store.unfinished()

    def last_tagged(self, image_id: str) -> str:
        found = self._engine.db.value(
            "select max(updated) from names where image_id = ?", (image_id,)
        )
        return found or "0001-01-01T00:00:00Z"

    def layer_sizes(self) -> dict[str, int]:
        """diff_id → bytes of the unpacked layer, of every layer of every image."""
        sizes: dict[str, int] = {}
        snapshots = self._engine.snapshots
        for row in self._engine.db.rows("select config from images"):
            diff_ids = json.loads(row[0]).get("rootfs", {}).get("diff_ids") or []
            for diff_id, chain_id in zip(diff_ids, oci_image.chain_ids(diff_ids), strict=True):
                if diff_id not in sizes and snapshots.has(chain_id):
                    sizes[diff_id] = snapshots.layer_size(chain_id)
        return sizes

    # -- changing

    def tag(self, name: str, target: str) -> None:
        image = self.get(name)
        wanted = reference.parse(target)
        if wanted.digest:
            raise errors.InvalidArgument("refusing to create a tag with a digest reference")
        names.put(self._engine.db, str(wanted), image.id, image.manifest)
        happened.publish(self._engine, "tag", image.id, reference.familiar(str(wanted)))

    def untag(self, name: str) -> Sequence[dict[str, str]]:
        return remove.untag(self._engine, name)

    async def pull(
        self,
        name: str,
        *,
        platform: str = "",
        every: bool = False,
        lazily: bool | None = None,
        credentials: Credentials | None,
        report: Report,
    ) -> None:
        """`lazily`: layers that can be read piece by piece are; None: as the setting says."""
        if lazily is None:
            lazily = self._engine.settings["lazy-pull"]
        with self.lease(f"pull {name}", keep=True) as lease:
            await pull.pull(
                self._engine,
                lease,
                name,
                platform=platform,
                every=every,
                lazily=lazily and not every,
                credentials=credentials,
                report=report,
            )

    async def fetch(self, lease: leases.Lease, name: str, **options: Any) -> Pulled:
        return await pull.fetch(self._engine, lease, name, **options)

    async def push(
        self,
        name: str,
        *,
        platform: str = "",
        every: bool = False,
        credentials: Credentials | None,
        report: Report,
    ) -> None:
        with self.lease(f"push {name}") as lease:
            await push.push(
                self._engine,
                lease,
                name,
                platform=platform,
                every=every,
                credentials=credentials,
                report=report,
            )

    async def search(
        self, term: str, limit: int, *, credentials: Credentials | None
    ) -> Sequence[search.Found]:
        """Repositories that Docker Hub, or the registry that the term begins with, has."""
        return await search.search(
            term, limit, credentials=credentials, config=self._engine.registries
        )

    async def distribution(self, name: str, *, credentials: Credentials | None) -> dict[str, Any]:
        return await push.distribution_of(self._engine, name, credentials=credentials)

    async def login(self, address: str, credentials: Credentials | None) -> None:
        await push.login(self._engine, address, credentials)

    async def load(
        self, chunks: AsyncIterator[bytes], *, platform: str = "", report: Report
    ) -> None:
        await archives.load(self._engine, chunks, platform=platform, report=report)

    def save(
        self, wanted: Sequence[str], *, platform: str = "", every: bool = False
    ) -> AsyncIterator[bytes]:
        return archives.save(self._engine, wanted, platform=platform, every=every)

    async def import_(
        self,
        chunks: AsyncIterator[bytes],
        name: str,
        *,
        changes: Sequence[str] = (),
        message: str = "",
        platform: str = "",
    ) -> str:
        return await archives.import_(
            self._engine, chunks, name, changes=changes, message=message, platform=platform
        )

    async def commit(self, container: str, name: str, **options: Any) -> str:
        return await commit.commit(self._engine, container, name, **options)

    async def remove(
        self, name: str, *, force: bool = False, prune: bool = True
    ) -> Sequence[dict[str, str]]:
        return await remove.remove(self._engine, name, force=force, prune=prune)

    async def remove_platforms(self, name: str, wanted: Sequence[str]) -> Sequence[dict[str, str]]:
        return await remove_platforms.remove(self._engine, name, wanted)

    async def prune(self, filters: Filters) -> tuple[Sequence[dict[str, str]], int]:
        return await remove.prune(self._engine, filters)

    # -- what stays, and what goes

    @contextmanager
    def lease(
        self, name: str = "", *, lasting: bool = True, keep: bool = False
    ) -> Iterator[leases.Lease]:
        """Whoever brings bytes or makes layers does it under one (see `leases`)."""
        try:
            with self.leases.lease(name, lasting=lasting, keep=keep) as lease:
                yield lease
        except BaseException:
            self.garbage.wake(soon=not keep)
            raise
        finally:
            if name:  # small work has none
                self.spare_memory.wake()

    async def collect_garbage(self) -> int:
        """Remove what nothing names; the bytes of the blobs and layers that went."""
        return await self.garbage.collect()

    async def start(self) -> None:
        self.leases.write_on(asyncio.get_running_loop())
        await self.garbage.start()
        self.lazy.wake()
        self.spare_memory.start()

    def stop(self) -> None:
        self.garbage.stop()
        self.spare_memory.stop()
        self.leases.write_on(None)


@lru_cache(64)
def _config(image_id: str, text: str) -> dict[str, Any]:
    """Configs are immutable; a run should not parse the same one again."""
    loaded: dict[str, Any] = json.loads(text)
    return loaded


async def quiet(_: dict[str, Any]) -> None:
    """A report for nobody."""
    await asyncio.sleep(0)
