"""A pull that is killed: the next one goes on behind the bytes that are on the disk."""

import asyncio
import os
import sys

import sampan
from sampan.image import content
from sampan.registry import blobs
from sampan.registry.pull import pull
from sampan.registry.store import MemoryStore
from tests.registry.faulty import Faulty
from tests.registry.support import add_image, client, in_loop, manifest_of, noise

_PULL = """
import asyncio, sys
from sampan.image import content
from sampan.registry.client import Client
from sampan.registry.pull import pull
from sampan.spec import reference

async def main():
    async with Client(reference.parse(sys.argv[1])) as there:
        await pull(there, content.FileStore(sys.argv[2]))

asyncio.run(main())
"""


@in_loop
async def test_kill_in_the_middle_costs_less_than_one_piece(tmp_path) -> None:
    source, sent = MemoryStore(), 5_500_000
    digest = add_image(source, noise(12 << 20))
    manifest = manifest_of(source, digest)
    layer, config = manifest["layers"][0]["digest"], manifest["config"]["digest"]
    target = content.FileStore(str(tmp_path))
    with target.write() as ingest:  # the config is there, so that the stall hits the layer
        ingest.write(source.blobs[config])
        ingest.commit(config)
    async with Faulty(source) as server:
        server.names["1"], server.stall = digest, sent
        name = f"{server.address}/x:1"
        killed = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PULL, name, str(tmp_path),
            env={**os.environ, "PYTHONPATH": os.path.dirname(sampan.__path__[0])},
        )  # fmt: skip
        try:
            await asyncio.wait_for(_written(tmp_path, layer, sent - blobs.PIECE), 30)
        finally:
            assert killed.returncode is None, "the pull ended before it was killed"
            killed.kill()
            await killed.wait()
        before = len(server.seen("GET", layer))
        async with client(name) as there:
            await pull(there, target)
        asked = server.seen("GET", layer)[before:]
    assert len(asked) == 1
    again = sent - int(asked[0].headers["Range"][len("bytes=") : -1])
    assert 0 <= again < blobs.PIECE
    assert content.read(target, layer) == source.blobs[layer]


async def _written(root, layer: str, least: int) -> None:
    """Until more than `least` bytes of the layer are in the store's ingest."""
    part = root / "content" / "ingest"
    while not any(  # noqa: ASYNC110 - nobody tells of a file that another process writes
        layer.partition(":")[2] in path.name and path.stat().st_size > least
        for path in part.iterdir()
    ):
        await asyncio.sleep(0.01)
