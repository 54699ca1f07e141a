"""`load`, `save`, `import`: images from and to archives that stream through pipes."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sampan.build import changes
from sampan.engine.errors import NoSuchImage
from sampan.engine.images import happened, lazy, names, register, variants
from sampan.image import archive, compress, platforms
from sampan.kit import clock, errors
from sampan.kit.threads import in_own_thread, in_thread
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from sampan.engine.engine import Engine
    from sampan.engine.images import Report
    from sampan.engine.images.leases import Lease

_CHUNK = 1 << 18


@asynccontextmanager
async def piped(chunks: AsyncIterator[bytes]) -> AsyncIterator[Iterator[bytes]]:
    """Asynchronous chunks as the blocking iterator that a thread of its own reads."""
    read, write = os.pipe()
    feeder = asyncio.create_task(_feed(chunks, write))
    try:
        with os.fdopen(read, "rb") as file:
            yield compress.chunks(file)
    finally:
        feeder.cancel()
        await asyncio.gather(feeder, return_exceptions=True)


async def _feed(chunks: AsyncIterator[bytes], write: int) -> None:
    try:
        async for chunk in chunks:
            await in_thread(_write_all, write, chunk)
    except BrokenPipeError:
        pass  # the reader has seen enough
    finally:
        os.close(write)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


async def load(
    engine: Engine, chunks: AsyncIterator[bytes], *, platform: str = "", report: Report
) -> None:
    """Read an archive of images in any form; tells `Loaded image: NAME` for each name."""
    wanted = oci_image.parse_platform(platform) if platform else None
    with engine.images.lease("load") as lease:
        async with piped(chunks) as stream:
            loaded = await in_own_thread(archive.load, lease.store, stream, wanted)
        for image in loaded:
            image_id = await register.register(
                engine, lease, image.manifest, image.names, target=image.target
            )
            for name in image.names:
                await report({"stream": f"Loaded image: {reference.familiar(name)}\n"})
                happened.publish(engine, "load", image_id, name)
            if not image.names:
                await report({"stream": f"Loaded image ID: {image_id}\n"})
                happened.publish(engine, "load", image_id, image_id)


def save(
    engine: Engine, wanted: Sequence[str], *, platform: str = "", every: bool = False
) -> AsyncIterator[bytes]:
    """One archive with all of them; unknown names are refused here, before it begins.

    `every` means all that is stored of an index, not only what runs here.
    """
    images: dict[str, list[str]] = {}
    told: set[str] = set()
    for name in _each(engine, wanted):
        row = names.row_of(engine.db, name)
        if row is None:
            raise NoSuchImage(name)
        told.add(row["id"])
        if every:
            digest = variants.target(engine, name)
        elif platform:
            digest = variants.manifest(engine, name, platform)
        else:
            digest = variants.whole(engine, name)
        tags = images.setdefault(digest, [])
        if not engine.images.is_id(name):
            tags.append(reference.full(name))
    lazy.must_be_whole(engine, [*images])
    found = [archive.Saved(digest=d, names=tuple(n)) for d, n in images.items()]
    return _saving(engine, found, told)


def _each(engine: Engine, wanted: Sequence[str]) -> Iterator[str]:
    """A repository's name alone stands for all its tags."""
    for name in wanted:
        bare = reference.is_bare(name) and not engine.images.is_id(name)
        yield from (bare and names.tags(engine.db, reference.repository(name))) or [name]


async def _saving(
    engine: Engine, images: list[archive.Saved], ids: set[str]
) -> AsyncIterator[bytes]:
    with engine.images.lease("save", lasting=False) as lease:
        lease.hold_all(platforms.reachable(engine.store, [image.digest for image in images]))
        async for chunk in produced(lambda write: archive.save(engine.store, images, write)):
            yield chunk
    for image_id in sorted(ids):
        happened.publish(engine, "save", image_id, image_id)


async def produced(body: Callable[[Callable[[bytes], object]], None]) -> AsyncIterator[bytes]:
    """What a blocking function writes, chunk by chunk; its error is raised at the end."""
    read, write = os.pipe()
    failure: list[BaseException] = []

    def produce() -> None:
        try:
            with os.fdopen(write, "wb", buffering=_CHUNK) as file:
                body(file.write)
        except BrokenPipeError:
            pass  # nobody wants the rest
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=produce, name="archive", daemon=True)
    thread.start()
    try:
        while chunk := await in_thread(os.read, read, _CHUNK):
            yield chunk
    finally:
        os.close(read)
        await in_thread(thread.join)
    if failure:
        raise failure[0]


async def import_(
    engine: Engine,
    chunks: AsyncIterator[bytes],
    name: str,
    *,
    changes: Sequence[str] = (),
    message: str = "",
    platform: str = "",
) -> str:
    """An image of one layer out of a tar of a root file system; its id."""
    full = [str(reference.parse(name))] if name else []
    if full and "@" in full[0]:
        raise errors.InvalidArgument("cannot import digest reference")
    runs_on = oci_image.parse_platform(platform) if platform else oci_image.host_platform()
    if runs_on.os != "linux":
        raise errors.InvalidArgument(f"{platform}: operating system is not supported")
    config = _config(runs_on, changes, message)
    with engine.images.lease("import") as lease:
        async with piped(chunks) as stream:
            layer, diff_id = await in_own_thread(_take_layer, lease, stream)
        config["rootfs"]["diff_ids"] = [diff_id]
        manifest = archive.write_image(lease.store, config, [layer])
        image_id = await register.register(engine, lease, manifest, full)
    happened.publish(engine, "import", image_id, image_id)
    return image_id


def _config(runs_on: oci_image.Platform, lines: Sequence[str], message: str) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    changes.apply(inner, lines)
    created = clock.now()
    step = {"created": created, "comment": message or "Imported from -"}
    config: dict[str, Any] = {
        "created": created,
        "architecture": runs_on.architecture,
        "os": runs_on.os,
        "config": inner,
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [step],
    }
    if runs_on.variant:
        config["variant"] = runs_on.variant
    return config


def _take_layer(lease: Lease, stream: Iterator[bytes]) -> tuple[dict[str, Any], str]:
    with archive.new_layer(lease.store) as layer:
        for chunk in compress.decompress(stream):
            layer.write(chunk)
        return layer.finish()
