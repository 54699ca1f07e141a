"""An image's files as one tar: what `--output type=local` and `type=tar` are made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sampan.build import files
from sampan.build.stack import Stack
from sampan.engine.images import archives
from sampan.image import tar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sampan.engine.engine import Engine
    from sampan.engine.images import Image


async def flattened(engine: Engine, image: Image) -> AsyncIterator[bytes]:
    tree = Stack(engine.snapshots.stack(image.chain_id))

    def body(write: Callable[[bytes], object]) -> None:
        writer = tar.Writer(write)
        for path in files.walk(tree, ""):
            entry = tree.entry(path)
            if entry is None or not path:
                continue
            writer.begin(entry)
            if entry.kind == tar.REGULAR:
                tree.copy(path, write)
                writer.pad(entry.size)
        writer.finish()

    with engine.images.lease("files", lasting=False) as lease:
        if image.chain_id is not None:
            await lease.layer(image.chain_id)
        async for chunk in archives.produced(body):
            yield chunk
