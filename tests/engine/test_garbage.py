"""The collector beside pulls, pushes, builds and removals: what is needed stays, nothing else."""

import asyncio
import contextlib
import json
import random

import pytest

from sampan.engine import spare_memory
from sampan.engine.images import leases as leasing
from sampan.image import content, platforms
from sampan.kit.threads import in_thread
from sampan.spec import oci_image
from sampan.spec.oci_image import digest_of

from .images_alone import Alone, image, register

HOUR = 3600 * 10**9


@pytest.fixture
def engine(tmp_path):
    alone = Alone(tmp_path)
    yield alone
    alone.db.close()


def put(store, data):
    with store.write() as ingest:
        ingest.write(data)
        return ingest.commit()


def test_what_nothing_names_goes(engine):
    put(engine.store, b"nobody's")
    engine.snapshots.there.add("sha256:1")
    engine.snapshots.writable.add("container")
    freed = asyncio.run(engine.images.collect_garbage())
    assert freed == len(b"nobody's") + engine.snapshots.layer_size("sha256:1")
    assert not [*engine.store.walk()]
    assert not engine.snapshots.there | engine.snapshots.writable


def test_what_an_image_names_stays(engine):
    layers, config, manifest = image(b"one", b"two")
    kept = {put(engine.store, data) for data in (*layers, config, manifest)}
    chain = oci_image.chain_ids(digest_of(layer) for layer in layers)
    engine.snapshots.there.update(chain)
    register(engine, config, manifest, "docker.io/library/x:1")
    asyncio.run(engine.images.collect_garbage())
    assert {*engine.store.walk()} == kept
    assert engine.snapshots.there == {*chain}


def test_all_platforms_of_an_index_stay(engine):
    """A name's target is an index: what of it is here, stays; what is not, is nobody's fault."""
    layers, config, manifest = image(b"amd64")
    others = image(b"arm64")
    index = oci_image.encode(
        {
            "schemaVersion": 2,
            "mediaType": oci_image.INDEX,
            "manifests": [
                oci_image.descriptor(oci_image.MANIFEST, manifest),
                oci_image.descriptor(oci_image.MANIFEST, others[2]),
                oci_image.descriptor(oci_image.MANIFEST, b"not here"),
            ],
        }
    )
    kept = {
        put(engine.store, data)
        for data in (*layers, config, manifest, *others[0], *others[1:], index)
    }
    register(engine, config, manifest, "docker.io/library/x:1")
    engine.db.execute("update names set target = ?", (digest_of(index),))
    asyncio.run(engine.images.collect_garbage())
    assert {*engine.store.walk()} == kept


def test_a_lease_keeps_what_was_found_and_what_was_written(engine):
    found = put(engine.store, b"found")
    with engine.images.lease("pull") as lease:
        assert found in lease.store
        written = put(lease.store, b"written")
        asyncio.run(engine.images.collect_garbage())
        assert {*engine.store.walk()} == {found, written}
    asyncio.run(engine.images.collect_garbage())
    assert not [*engine.store.walk()]


def test_what_failed_is_kept_for_an_hour(engine):
    now = [0]
    engine.images.leases.now = lambda: now[0]

    async def body():
        await engine.images.start()
        with contextlib.suppress(RuntimeError), engine.images.lease("pull", keep=True) as lease:
            part = put(lease.store, b"the first layer")
            raise RuntimeError("the network went away")
        await engine.images.collect_garbage()
        assert [*engine.store.walk()] == [part]
        now[0] = HOUR + 1
        await engine.images.collect_garbage()
        assert not [*engine.store.walk()]
        assert not engine.db.rows("select * from leases")
        engine.images.stop()

    asyncio.run(body())


def test_a_lease_outlives_the_engine_for_an_hour(engine):
    now = [0]

    async def killed():
        engine.images.leases.now = lambda: now[0]
        await engine.images.start()
        lease = engine.images.leases.lease("pull").__enter__()
        put(lease.store, b"a layer")
        await asyncio.sleep(0)  # the loop writes it down

    async def following():
        again = leasing.Leases(engine.db, engine.store, lambda: now[0])
        engine.images.leases = again
        await engine.images.collect_garbage()
        there = len([*engine.store.walk()])
        now[0] = HOUR + 1
        await engine.images.collect_garbage()
        engine.images.stop()
        return there, len([*engine.store.walk()])

    asyncio.run(killed())
    assert asyncio.run(following()) == (1, 0)


def test_roots_of_others_stay(engine):
    """What a build cache keeps, it says at each mark."""
    kept = put(engine.store, b"a cached step")
    engine.snapshots.there |= {"sha256:cached", "sha256:other"}
    engine.snapshots.writable.add("cache-mount")
    engine.images.garbage.roots.append(
        lambda: [kept, leasing.layer("sha256:cached"), leasing.key("cache-mount")]
    )
    asyncio.run(engine.images.collect_garbage())
    assert [*engine.store.walk()] == [kept]
    assert engine.snapshots.there == {"sha256:cached"}
    assert engine.snapshots.writable == {"cache-mount"}


def test_a_manifest_that_is_damaged_does_not_stop_it(engine):
    _, config, manifest = image()
    for data in (config, manifest):
        put(engine.store, data)
    register(engine, config, manifest, "docker.io/library/x:1")
    with open(engine.store.path(digest_of(manifest)), "r+b") as file:
        file.write(b"damaged")
    put(engine.store, b"nobody's")
    asyncio.run(engine.images.collect_garbage())
    assert digest_of(b"nobody's") not in engine.store
    assert digest_of(config) in engine.store


def test_downloads_that_nobody_goes_on_with_go_after_a_day(engine, monkeypatch):
    with engine.store.write("layer") as ingest:
        ingest.write(b"half of it")
    asyncio.run(engine.images.collect_garbage())
    assert engine.store.unfinished() == 10
    monkeypatch.setattr("sampan.engine.images.garbage.PARTIAL", -10)
    assert asyncio.run(engine.images.collect_garbage()) == 10
    assert engine.store.unfinished() == 0


# -- concurrently

LAYERS = [f"layer {number}".encode() for number in range(6)]
TURNS = 40  # each verb's, at least; in all some hundreds


class Crowd:
    """Pulls, pushes, builds, removals and collections in an order that a seed decides."""

    def __init__(self, engine, seed):
        self.engine, self.random = engine, random.Random(seed)
        self.done = dict.fromkeys(("pull", "push", "build", "remove", "collect"), 0)

    def some_image(self):
        return image(*self.random.sample(LAYERS, self.random.randint(1, 4)))

    async def hop(self):
        """A turn for the others, sometimes by way of a thread."""
        if self.random.random() < 0.3:
            await in_thread(lambda: None)
        else:
            await asyncio.sleep(0)

    async def bring(self, lease, data):
        await self.hop()
        digest = digest_of(data)
        if self.random.random() < 0.5:  # as the registry client does
            if digest not in lease.store:
                await in_thread(put, lease.store, data)
        else:  # as a build does, that learns the digest at the end
            await in_thread(put, lease.store, data)

    async def unpack(self, lease, layers):
        chains = oci_image.chain_ids(digest_of(layer) for layer in layers)
        for chain in chains:
            await lease.layer(chain)
            if not self.engine.snapshots.has(chain):
                await self.hop()
                self.engine.snapshots.there.add(chain)

    async def pull(self):
        layers, config, manifest = self.some_image()
        with self.engine.images.lease("pull") as lease:
            for data in (manifest, config, *layers):
                await self.bring(lease, data)
            await self.unpack(lease, layers)
            await self.hop()
            if self.random.random() < 0.2:
                return  # the client went away
            name = f"docker.io/library/x:{self.random.randint(1, 4)}"
            register(self.engine, config, manifest, name)
        self.check()

    async def push(self):
        row = self.engine.db.row("select manifest from images order by random() limit 1")
        if row is None:
            return
        with self.engine.images.lease("push") as lease:
            lease.hold_all(platforms.reachable(self.engine.store, [row[0]]))
            document = json.loads(content.read(lease.store, row[0]))
            for layer in document["layers"]:
                await self.hop()
                content.read(lease.store, layer["digest"])  # though it be removed meanwhile

    async def build(self):
        layers, config, manifest = self.some_image()
        key = f"build-{self.random.random()}"
        with self.engine.images.lease("build") as lease:
            lease.key(key)
            self.engine.snapshots.writable.add(key)
            for layer in layers:
                await self.bring(lease, layer)
                await self.hop()
                assert key in self.engine.snapshots.writable
            await self.unpack(lease, layers)
            for data in (config, manifest):
                await self.bring(lease, data)
            if self.random.random() < 0.5:
                register(self.engine, config, manifest)
            for layer in layers:
                content.read(lease.store, digest_of(layer))
        self.check()

    async def remove(self):
        self.engine.db.execute(
            "delete from images where id in (select id from images order by random() limit 2)"
        )

    async def collect(self):
        await self.engine.images.collect_garbage()
        self.check()

    def check(self):
        """Every row's bytes and layers are there."""
        for row in self.engine.db.rows("select manifest, config from images"):
            document = json.loads(content.read(self.engine.store, row["manifest"]))
            for part in (document["config"], *document["layers"]):
                assert part["digest"] in self.engine.store
            diff_ids = json.loads(row["config"])["rootfs"]["diff_ids"]
            assert {*oci_image.chain_ids(diff_ids)} <= self.engine.snapshots.there

    async def one_of_them(self):
        while min(self.done.values()) < TURNS:
            verb = self.random.choice([*self.done])
            await getattr(self, verb)()
            self.done[verb] += 1
            await self.hop()

    async def run(self):
        await self.engine.images.start()
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(self.one_of_them())
        await self.engine.images.collect_garbage()
        self.check()
        self.nothing_else()
        self.engine.images.stop()

    def nothing_else(self):
        needed, chains = set(), set()
        for row in self.engine.db.rows("select manifest, config from images"):
            document = json.loads(content.read(self.engine.store, row["manifest"]))
            parts = (document["config"], *document["layers"])
            needed |= {row["manifest"], *(part["digest"] for part in parts)}
            chains |= {*oci_image.chain_ids(json.loads(row["config"])["rootfs"]["diff_ids"])}
        assert {*self.engine.store.walk()} == needed
        assert self.engine.snapshots.there == chains
        assert not self.engine.snapshots.writable
        assert not self.engine.db.rows("select * from leases")


@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_loses_nothing_and_leaves_nothing(engine, seed):
    asyncio.run(Crowd(engine, seed).run())


def test_when_large_work_is_over_its_memory_is_given_back(engine, monkeypatch):
    given = asyncio.Event()
    monkeypatch.setattr(
        spare_memory.heap, "give_back", lambda: loop.call_soon_threadsafe(given.set)
    )
    monkeypatch.setattr(spare_memory, "_QUIET", 0)

    async def work():
        engine.images.spare_memory.start()
        await given.wait()
        given.clear()
        with engine.images.lease("pull"):
            pass
        await given.wait()

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        runner.run(asyncio.wait_for(work(), 20))
