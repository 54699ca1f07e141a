"""What the page server fetches, when, and how often; the kernel's part is in test_lazy_pull."""

from __future__ import annotations

import asyncio

import pytest

from sampan.engine.pages.source import AHEAD, BEHIND, Source
from sampan.image.erofs import index
from sampan.image.lazy import filling
from sampan.kit import errors
from tests.lazy_images import Layer, noise, tar_of

LARGE = noise(9 << 20, "large")
FILES = {f"{n:03}": noise(3000, f"source {n}") for n in range(300)}


@pytest.fixture(scope="module")
def layer():
    return Layer(tar_of({**FILES, "large": LARGE}))


class Blob:
    """Stands for the registry: gives parts of a blob, holds them back, fails."""

    def __init__(self, layer):
        self._blob = layer.blob
        self.asked = []
        self.failure = None
        self.open = asyncio.Event()
        self.open.set()
        self.news = asyncio.Queue()

    async def __call__(self, start, length):
        self.asked.append((start, length))
        self.news.put_nowait(start)
        await self.open.wait()
        if self.failure:
            raise self.failure
        return self._blob[start : start + length]


@pytest.fixture
def run(tmp_path, layer):
    filling.begin(str(tmp_path), layer.start())
    filled = filling.Filling(str(tmp_path), filling.promised(str(tmp_path)))

    def run(body):
        async def main():
            blob = Blob(layer)
            await body(Source(filled, blob), blob)

        asyncio.run(main())

    yield run
    filled.close()


def at(layer, name):
    node = layer.plan.tree.root.children[name]
    return index.RESERVE + node.data, node.size


def test_readers_of_the_same_bytes_fetch_them_once(run, layer):
    async def body(source, blob):
        reads = [source.read(*at(layer, "007")) for _ in range(20)]
        assert await asyncio.gather(*reads) == [FILES["007"]] * 20
        assert len(blob.asked) == 1

    run(body)


def test_a_small_file_brings_its_neighbours(run, layer):
    async def body(source, blob):
        await source.read(*at(layer, "100"))
        assert source.at_hand(*at(layer, "130")) == FILES["130"]
        assert source.at_hand(*at(layer, "099")) is None
        assert AHEAD // 2 < blob.asked[0][1] <= AHEAD

    run(body)


def test_the_index_is_there_from_the_beginning(run):
    async def body(source, blob):
        assert source.at_hand(1024, 4) == b"\xe2\xe1\xf5\xe0"

    run(body)


def test_a_reader_does_not_wait_for_the_background(run, layer):
    async def body(source, blob):
        blob.open.clear()
        background = asyncio.create_task(source.complete())
        await blob.news.get()
        reader = asyncio.create_task(source.read(*at(layer, "000")))
        await blob.news.get()
        assert blob.asked[1][1] < blob.asked[0][1]
        blob.open.set()
        assert await reader == FILES["000"]
        assert await background

    run(body)


def test_the_background_begins_nothing_while_a_reader_waits(run, layer):
    async def body(source, blob):
        blob.open.clear()
        reader = asyncio.create_task(source.read(*at(layer, "large")))
        await blob.news.get()
        background = asyncio.create_task(source.complete())
        for _ in range(100):
            await asyncio.sleep(0)
        first = len(blob.asked)
        assert first == 1  # neighbours are one request
        blob.open.set()
        assert await reader == LARGE
        assert await background
        assert all(length <= BEHIND for _, length in blob.asked[1:])
        assert sum(length for _, length in blob.asked) <= len(layer.blob)

    run(body)


def test_a_failure_reaches_its_reader_and_the_next_one_tries_again(run, layer):
    async def body(source, blob):
        blob.failure = errors.Unavailable("the registry is away")
        with pytest.raises(errors.Unavailable, match="away"):
            await source.read(*at(layer, "050"))
        with pytest.raises(errors.Unavailable, match="away"):
            await source.complete()
        blob.failure = None
        assert await source.read(*at(layer, "050")) == FILES["050"]
        assert await source.complete()

    run(body)


def test_a_layer_that_was_removed_is_let_go(run, layer, tmp_path):
    async def body(source, blob):
        (tmp_path / filling.NAME).unlink()
        assert not await source.complete()
        assert not blob.asked

    run(body)
