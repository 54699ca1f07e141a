"""From bytes in the store to an image that can be run: unpack its layers, write its row."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from sampan.engine.images import names
from sampan.image import content, worker
from sampan.kit import clock, errors
from sampan.registry import download
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from sampan.engine.engine import Engine
    from sampan.engine.images.leases import Lease

T = TypeVar("T")

_AT_ONCE = asyncio.Semaphore(3)  # a layer is a process that eats a core
_LINE = 1 << 20


async def unpack(
    engine: Engine, lease: Lease, layer: str, *, chain: list[str], diff_id: str, follow: int = 0
) -> int:
    """Unpack one layer blob as the top of `chain` (chain ids, base first); bytes it holds.

    With `follow`, its size, the blob is on its way and read while it comes.
    """
    chain_id, parent = chain[-1], chain[-2] if len(chain) > 1 else None
    await lease.layer(chain_id)
    if engine.snapshots.has(chain_id):
        return engine.snapshots.layer_size(chain_id)
    command = worker.command(
        engine.paths.root,
        kind=engine.snapshots.directory,
        layer=layer,
        chain_id=chain_id,
        parent=parent,
        diff_id=diff_id,
        follow={"name": download.name(layer), "size": follow} if follow else None,
    )
    async with _AT_ONCE:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, limit=_LINE
        )
        try:
            line, _ = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
    size: int = worker.outcome(line)["size"]
    return size


async def together(work: Iterable[Awaitable[T]]) -> list[T]:
    """All results; the first failure cancels the others and is raised when they have ended."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        return [*await asyncio.gather(*tasks)]
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def register(
    engine: Engine,
    lease: Lease,
    manifest_digest: str,
    full_names: Iterable[str],
    *,
    target: str = "",
    parent: str = "",
    built: bool = False,
) -> str:
    """Unpack what is not unpacked yet, then make the image known; its id.

    `target` is what the names stand for, where that is an index; `parent` the id of the image that
    it was made from here; `built` says that a build has just given it, whose times are not the
    clock's (decision 0010). Raises InvalidArgument for an image that is none.
    """
    manifest, config = read(lease.store, manifest_digest)
    pairs = oci_image.layers_of(manifest, config)
    chain = oci_image.chain_ids(diff_id for _, diff_id in pairs)
    jobs = [
        unpack(engine, lease, layer["digest"], chain=[*chain[: at + 1]], diff_id=diff_id)
        for at, (layer, diff_id) in enumerate(pairs)
    ]
    sizes = await together(jobs)
    described = content.read(lease.store, manifest["config"]["digest"])
    image_id = oci_image.digest_of(described)
    now = clock.now()
    made = now if built else None
    with engine.db.transaction():
        engine.db.execute(
            "insert into images"
            " (id, manifest, chain_id, config, created, size, parent, made, built)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do update"
            " set built = excluded.built where excluded.built is not null",
            (
                image_id,
                manifest_digest,
                chain[-1] if chain else None,
                described.decode(),
                now,
                sum(sizes),
                parent if parent != image_id else "",
                made,
                made,
            ),
        )
        for name in full_names:
            names.put(engine.db, name, image_id, target or manifest_digest)
    return image_id


def read(
    store: content.ContentStore, manifest_digest: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """An image's manifest and config out of the store."""
    manifest = _document(store, manifest_digest)
    if oci_image.media_type(manifest) not in oci_image.MANIFESTS or "config" not in manifest:
        raise errors.InvalidArgument(f"{manifest_digest} is no image manifest")
    config = _document(store, manifest["config"]["digest"])
    if "rootfs" not in config:
        raise errors.InvalidArgument(f"{manifest_digest} is no container image: no rootfs")
    return manifest, config


def _document(store: content.ContentStore, digest: str) -> dict[str, Any]:
    return oci_image.decode(content.read(store, digest), digest)
