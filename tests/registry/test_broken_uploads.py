"""What a push makes of uploads that break, stall and get lost."""

import pytest

from sampan.registry import errors, upload
from sampan.registry.push import push
from sampan.registry.store import MemoryStore
from tests.registry.faulty import Faulty
from tests.registry.support import client, image, in_loop, manifest_of, noise


def one_to_go(size: int) -> tuple[MemoryStore, str, str, MemoryStore]:
    """An image whose layer alone the other store lacks: here, its digest, the layer, there."""
    store, digest, (layer,) = image(noise(size))
    taken = MemoryStore()
    taken.add(store.blobs[manifest_of(store, digest)["config"]["digest"]])
    return store, digest, layer, taken


@in_loop
async def test_chunks_where_one_request_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "_CHUNK", 40_000)
    store, digest, (layer,) = image(noise(100_000))
    taken = MemoryStore()
    async with Faulty(taken) as server, client(f"{server.address}/x:1") as there:
        server.largest_put = 50_000
        await push(there, store, digest, "1")
        assert len(server.seen("PATCH", "uploads")) == 3
    assert taken.blobs[layer] == store.blobs[layer]


@in_loop
async def test_a_broken_upload_is_gone_on_with() -> None:
    """It breaks at first, and again in the rest; no byte that came is sent twice."""
    store, digest, layer, taken = one_to_go(3_000_000)
    size = len(store.blobs[layer])
    async with Faulty(taken) as server, client(f"{server.address}/x:1") as there:
        server.cut_upload = [1_000_000, 500_000]
        await push(there, store, digest, "1")
        asked = server.seen("PATCH", "uploads")
        assert [request.headers["Content-Range"] for request in asked] == [
            f"1000000-{size - 1}",
            f"1500000-{size - 1}",
        ]
        assert len(server.seen("POST", "uploads")) == 1
    assert taken.blobs[layer] == store.blobs[layer]


@pytest.mark.parametrize("refusal", [(416, ""), (404, "BLOB_UPLOAD_INVALID")])
@in_loop
async def test_an_upload_that_still_wrote_when_it_was_asked(refusal) -> None:
    """It says how much it has before the last of a broken request is written down."""
    store, digest, layer, taken = one_to_go(1_000_000)
    data = store.blobs[layer]
    async with Faulty(taken) as server, client(f"{server.address}/x:1") as there:
        server.cut_upload, server.late = [400_000], [data[400_000:450_000]]
        server.out_of_step = refusal
        await push(there, store, digest, "1")
        starts = [r.headers["Content-Range"] for r in server.seen("PATCH", "uploads")]
        assert starts == [f"400000-{len(data) - 1}", f"450000-{len(data) - 1}"]
        assert len(server.seen("POST", "uploads")) == 1
    assert taken.blobs[layer] == data


@in_loop
async def test_an_upload_with_more_bytes_than_the_blob_begins_again() -> None:
    store, digest, layer, taken = one_to_go(1_000_000)

    async def overfill(seconds: float) -> None:
        for session in server.uploaded.values():
            session += bytes(2_000_000)

    async with Faulty(taken) as server, client(f"{server.address}/x:1", pause=overfill) as there:
        server.cut_upload = [400_000]
        await push(there, store, digest, "1")
        assert len(server.seen("POST", "uploads")) == 2
    assert taken.blobs[layer] == store.blobs[layer]


@in_loop
async def test_an_upload_that_was_lost_begins_again() -> None:
    store, digest, layer, taken = one_to_go(1_000_000)

    async def forget(seconds: float) -> None:
        server.uploaded.clear()

    async with Faulty(taken) as server, client(f"{server.address}/x:1", pause=forget) as there:
        server.cut_upload = [400_000]
        await push(there, store, digest, "1")
        assert len(server.seen("POST", "uploads")) == 2
    assert taken.blobs[layer] == store.blobs[layer]


@in_loop
async def test_an_upload_that_is_done_although_no_answer_came() -> None:
    store, digest, layer, taken = one_to_go(1_000_000)

    async def finish(seconds: float) -> None:
        server.uploaded.clear()
        taken.add(store.blobs[layer])

    async with Faulty(taken) as server, client(f"{server.address}/x:1", pause=finish) as there:
        server.cut_upload = [400_000]
        await push(there, store, digest, "1")
        assert len(server.seen("POST", "uploads")) == 1


@in_loop
async def test_an_upload_that_breaks_each_time_ends() -> None:
    store, digest, _ = image(noise(1_000_000))
    async with Faulty(MemoryStore()) as server, client(f"{server.address}/x:1") as there:
        server.cut_upload = [0] * 40
        with pytest.raises(errors.Unreachable, match="the connection was cut off"):
            await push(there, store, digest, "1")
