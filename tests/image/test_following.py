"""A layer is read while it comes; only what turns out to be right is kept."""

import hashlib
import random
import subprocess
import threading

import pytest

from sampan.image import worker
from sampan.image.content import FileStore
from sampan.image.content.following import Following
from sampan.image.erofs.layers import ErofsLayers
from sampan.image.layers import Layers
from sampan.kit import errors

from .archives import archive, member
from .snapshotter_contract import ONE, sha

DATA = random.Random(3).randbytes(5 << 20)


@pytest.fixture
def store(tmp_path):
    return FileStore(str(tmp_path))


def test_all_bytes_come_whenever_they_are_written(store):
    with store.write("pull-x") as ingest:
        ingest.write(DATA[:10])
        found = hashlib.sha256()
        with Following(store.coming("pull-x"), len(DATA)) as following:

            def read():
                while part := following.read(100_000):
                    found.update(part)

            reader = threading.Thread(target=read)
            reader.start()
            for at in range(10, len(DATA), 77_777):
                ingest.write(DATA[at : at + 77_777])
            ingest.commit()
            reader.join()
    assert found.digest() == hashlib.sha256(DATA).digest()


def test_a_writer_that_starts_again_is_noticed(store):
    with store.write("pull-x") as ingest:
        ingest.write(DATA[:1000])
        with Following(store.coming("pull-x"), len(DATA)) as following:
            assert len(following.read(5000)) == 1000
            ingest.reset()
            with pytest.raises(errors.Unavailable, match="no longer what is coming"):
                following.read(1)


def test_a_writer_that_gives_up_is_noticed(store):
    with store.write("pull-x") as ingest:
        ingest.write(DATA[:1000])
        with Following(store.coming("pull-x"), len(DATA)) as following:
            following.read(5000)
            store.abandon("pull-x")
            with pytest.raises(errors.Unavailable, match="no longer what is coming"):
                following.read(1)


@pytest.mark.parametrize("kind", [Layers, ErofsLayers])
@pytest.mark.parametrize("right", [True, False])
def test_a_worker_follows_a_layer_to_its_end(store, tmp_path, kind, right):
    layer = archive(member("f", data=DATA))
    follow = {"name": "pull-x", "size": len(layer)}
    command = worker.command(
        str(tmp_path), kind=kind.directory, layer="", chain_id=ONE, parent=None,
        diff_id=sha(layer if right else DATA), follow=follow,
    )  # fmt: skip
    with store.write("pull-x") as ingest:
        ingest.write(layer[:1000])
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        for at in range(1000, len(layer), 1 << 20):
            ingest.write(layer[at : at + (1 << 20)])
        line, _ = process.communicate()
        ingest.commit()
    assert kind(str(tmp_path)).has(ONE) is right
    if right:
        assert worker.outcome(line)["size"] == len(DATA)
    else:
        with pytest.raises(errors.InvalidArgument, match="the image's config says"):
            worker.outcome(line)
