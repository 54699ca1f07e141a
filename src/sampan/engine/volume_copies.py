"""`volume export`, `import`, `clone` and `snapshot`: a volume's files out, in, and beside.

    async for chunk in export(engine, "data"): …        a tar: owners, modes, xattrs, links
    await import_(engine, "data", chunks)               into an empty volume, or a new one
    await clone(engine, "data", "copy")                 a new volume with the same files

Containers that can write to the volume are paused meanwhile, so that what is copied was there at
one moment. What fails leaves the target as it was: empty, or not there.
"""

from __future__ import annotations

import os
import shutil
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from sampan.engine import file_copies
from sampan.engine.containers import pause
from sampan.engine.errors import NoSuchVolume
from sampan.engine.images import archives
from sampan.image import compress, tar, unpack
from sampan.kit import clock, errors
from sampan.kit.threads import in_own_thread, in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from sampan.engine.engine import Engine
    from sampan.engine.volumes import Volume

SNAPSHOT_OF = "sampan.snapshot.of"  # label: the volume that a snapshot was taken of


class NotEmpty(errors.Conflict):
    def __init__(self, name: str) -> None:
        super().__init__(f"volume {name} is not empty: import into a new one")


@asynccontextmanager
async def still(engine: Engine, name: str) -> AsyncIterator[Volume]:
    """The volume with its files at the mountpoint and nobody of ours writing."""
    async with engine.volumes.held(name) as volume, AsyncExitStack() as stack:
        for container in engine.containers:
            if container.running and _writes(container.mounts, name):
                await stack.enter_async_context(pause.stilled(container))
        yield volume


def _writes(mounts: list[dict[str, object]], name: str) -> bool:
    return any(p["Type"] == "volume" and p["Name"] == name and p["RW"] for p in mounts)


def export(engine: Engine, name: str) -> AsyncGenerator[bytes, None]:
    """An unknown name is refused here, before the archive begins."""
    engine.volumes.get(name)
    return _exporting(engine, name)


async def _exporting(engine: Engine, name: str) -> AsyncGenerator[bytes, None]:
    async with still(engine, name) as volume:
        async for chunk in archives.produced(lambda write: _write(volume.mountpoint, write)):
            yield chunk


def _write(directory: str, write: Callable[[bytes], object]) -> None:
    """The volume's own directory is the entry `.`, with its owner and mode."""
    writer = tar.Writer(write)
    tar.write_tree(writer, directory, ".")
    writer.finish()


async def import_(engine: Engine, name: str, chunks: AsyncIterator[bytes]) -> Volume:
    """A tar, plain or compressed. Only what is empty is filled: nothing is lost."""
    known = _exists(engine, name)
    engine.volumes.ensure(name)
    try:
        async with still(engine, name) as volume, archives.piped(chunks) as stream:
            if await in_thread(os.listdir, volume.mountpoint):
                raise NotEmpty(name)
            await in_own_thread(_fill, volume.mountpoint, stream)
    except BaseException:
        if not known:
            await engine.volumes.remove(name)
        raise
    return volume


def _fill(directory: str, stream: Iterator[bytes]) -> None:
    status = os.stat(directory)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        unpack.unpack(compress.decompress(stream), fd, whiteouts=False)
    except BaseException:
        _empty(directory)
        os.chown(directory, status.st_uid, status.st_gid)
        os.chmod(directory, status.st_mode & 0o7777)
        raise
    finally:
        os.close(fd)


def _empty(directory: str) -> None:
    for entry in list(os.scandir(directory)):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)


def _exists(engine: Engine, name: str) -> bool:
    try:
        engine.volumes.get(name)
    except NoSuchVolume:
        return False
    return True


async def clone(engine: Engine, name: str, to: str, *, snapshot: bool = False) -> Volume:
    """A new volume with the same files, labels and bound. What the source mounts from elsewhere
    (a device, a server) is copied, not mounted a second time. A `snapshot` remembers its source,
    and is named by it and the time unless `to` says otherwise.
    """
    source = engine.volumes.get(name)
    if snapshot:
        stamp = clock.now().partition(".")[0].replace(":", "").replace("-", "")
        to = to or f"{name}-{stamp}"
    if not to:
        raise errors.InvalidArgument("no name for the clone: give to")
    if _exists(engine, to):
        raise errors.Conflict(f"volume {to} exists already")
    labels = {**source.labels, **({SNAPSHOT_OF: name} if snapshot else {})}
    options = {key: value for key, value in source.options.items() if key == "size"}
    target = engine.volumes.ensure(to, labels=labels, options=options)
    try:
        async with still(engine, name), engine.volumes.held(to):
            await in_thread(file_copies.tree, source.mountpoint, target.mountpoint, {})
    except BaseException:
        await engine.volumes.remove(to)
        raise
    return target
