"""Several ranges of one layer at once: they come in any order, and are one layer in the end."""

import asyncio
import os
import sys

import pytest

import sampan
from sampan.image import content
from sampan.registry import blobs, errors, ranges
from sampan.registry.pull import pull
from sampan.registry.store import MemoryStore
from tests.registry.faulty import Faulty
from tests.registry.support import add_image, client, in_loop, manifest_of, noise

SIZE = 2 << 20


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "SIZE", SIZE)


@pytest.fixture
def image() -> tuple[MemoryStore, str, str, MemoryStore]:
    """The registry's store, the manifest, its layer of six ranges, and a store with the config."""
    source, target = MemoryStore(), MemoryStore()
    digest = add_image(source, noise(11 << 20))
    manifest = manifest_of(source, digest)
    target.add(source.blobs[manifest["config"]["digest"]])
    return source, digest, manifest["layers"][0]["digest"], target


def asked_for(server: Faulty, layer: str) -> list[str]:
    return [request.headers.get("Range", "") for request in server.seen("GET", layer)]


@in_loop
async def test_ranges_come_at_once_and_in_any_order(image) -> None:
    """The first one is not sent to its end before those behind it were."""
    source, digest, layer, target = image
    sent: set[int] = set()
    others = asyncio.Event()

    async def gate(request: object, start: int) -> None:
        sent.add(start)
        if {SIZE, 2 * SIZE, 3 * SIZE} <= sent:
            others.set()
        if start == 0:
            await asyncio.wait_for(others.wait(), 20)

    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"], server.gate = digest, gate
        await pull(there, target)
        asked = asked_for(server, layer)
    assert target.blobs[layer] == source.blobs[layer]
    assert asked[0] == f"bytes=0-{SIZE - 1}"
    assert len(asked) == len(set(asked)) == 6
    assert not target.files


@in_loop
async def test_a_range_that_breaks_is_gone_on_with(image) -> None:
    source, digest, layer, target = image
    broken: list[int] = []

    async def gate(request, start: int) -> None:
        if start and start not in broken and start % SIZE == 0:
            broken.append(start)
            request.transport.close()

    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"], server.gate = digest, gate
        await pull(there, target)
    assert len(broken) == 5
    assert target.blobs[layer] == source.blobs[layer]


@in_loop
async def test_a_server_without_ranges_sends_all_at_once(image) -> None:
    source, digest, layer, target = image
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"], server.ranges = digest, False
        await pull(there, target)
        assert len(asked_for(server, layer)) == 1
    assert target.blobs[layer] == source.blobs[layer]


@in_loop
async def test_a_part_of_other_bytes_is_thrown_away(image) -> None:
    source, digest, layer, target = image
    target.part(f"pull-{layer}@{SIZE}").write(b"never of this layer")
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"] = digest
        await pull(there, target)
    assert target.blobs[layer] == source.blobs[layer]
    assert not target.files


@in_loop
async def test_wrong_bytes_leave_nothing(image) -> None:
    source, digest, layer, target = image
    async with Faulty(source) as server, client(f"{server.address}/x:1") as there:
        server.names["1"], server.wrong[layer] = digest, bytes(len(source.blobs[layer]))
        with pytest.raises(errors.WrongDigest):
            await pull(there, target)
    assert not target.files
    assert layer not in target


_PULL = """
import asyncio, sys
from sampan.image import content
from sampan.registry import ranges
from sampan.registry.client import Client
from sampan.registry.pull import pull
from sampan.spec import reference

ranges.SIZE = int(sys.argv[3])

async def main():
    async with Client(reference.parse(sys.argv[1])) as there:
        await pull(there, content.FileStore(sys.argv[2]))

asyncio.run(main())
"""


@in_loop
async def test_kill_costs_each_connection_less_than_one_piece(image, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ranges, "SIZE", 4 << 20)
    source, digest, layer, memory = image
    target = content.FileStore(str(tmp_path))
    content.add(target, next(iter(memory.blobs.values())))
    sent: set[int] = set()
    all_sent = asyncio.Event()

    async def gate(request: object, start: int) -> None:
        sent.add(start)
        if len(sent) == 3:
            all_sent.set()
        await asyncio.Event().wait()  # until the client has gone

    async with Faulty(source) as server:
        server.names["1"], server.gate = digest, gate
        name = f"{server.address}/x:1"
        killed = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PULL, name, str(tmp_path), str(4 << 20),
            env={**os.environ, "PYTHONPATH": os.path.dirname(sampan.__path__[0])},
        )  # fmt: skip
        try:
            await asyncio.wait_for(all_sent.wait(), 30)
            half = 2 << 20, 2 << 20, (len(source.blobs[layer]) - (8 << 20)) // 2
            await asyncio.wait_for(_written(tmp_path, sum(half) - 3 * blobs.PIECE), 30)
        finally:
            assert killed.returncode is None, "the pull ended before it was killed"
            killed.kill()
            await killed.wait()
        server.gate, before = None, len(asked_for(server, layer))
        async with client(name) as there:
            await pull(there, target)
        asked = asked_for(server, layer)[before:]
    assert content.read(target, layer) == source.blobs[layer]
    begins = sorted(int(one.removeprefix("bytes=").partition("-")[0]) for one in asked)
    assert len(begins) == 3
    for begin, start, length in zip(begins, (0, 4 << 20, 8 << 20), half, strict=True):
        assert start + length - blobs.PIECE < begin <= start + length
    assert not list((tmp_path / "content" / "ingest").iterdir())


async def _written(root, least: int) -> None:
    """Until more than `least` bytes of the layer are on the disk."""
    ingest = root / "content" / "ingest"
    while sum(path.stat().st_size for path in ingest.iterdir()) <= least:  # noqa: ASYNC110 - nobody tells of a file that another process writes
        await asyncio.sleep(0.01)
