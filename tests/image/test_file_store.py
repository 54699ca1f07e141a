import os

import pytest

from sampan.image import content
from sampan.image.content import ContentStore, FileStore, StoreFull
from sampan.kit import errors
from sampan.linux.mount import mount

from .content_store_contract import HELLO, ContentStoreContract


def files_below(path):
    return [f"{d}/{name}" for d, _, names in os.walk(path) for name in names]


class TestFileStore(ContentStoreContract):
    @pytest.fixture
    def store(self, tmp_path) -> ContentStore:
        return FileStore(str(tmp_path))


def test_another_store_of_the_same_directory_sees_the_blobs(tmp_path):
    content.add(FileStore(str(tmp_path)), b"hello")
    assert content.read(FileStore(str(tmp_path)), HELLO) == b"hello"


def test_an_unnamed_ingest_leaves_nothing(tmp_path):
    store = FileStore(str(tmp_path))
    with store.write() as ingest:
        ingest.write(b"hello")
    assert files_below(tmp_path) == []


def test_an_abandoned_ingest_leaves_nothing(tmp_path):
    store = FileStore(str(tmp_path))
    with store.write("layer:1") as ingest:
        ingest.write(b"hello")
    assert len(files_below(tmp_path)) == 1
    store.abandon("layer:1")
    store.abandon("layer:1")
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("digest", ["", "sha256:", "sha256:../../etc/passwd", "sha256:" + "A" * 64])
def test_what_is_no_digest_is_no_path(tmp_path, digest):
    with pytest.raises(errors.InvalidArgument):
        FileStore(str(tmp_path)).open(digest)


@pytest.mark.needs("mount")
@pytest.mark.parametrize("name", [None, "layer"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, own_mounts, name):
    def body():
        mount("tmpfs", str(tmp_path), "tmpfs", data="size=64k")
        store = FileStore(str(tmp_path))
        small = content.add(store, b"small")
        with pytest.raises(StoreFull) as caught, store.write(name) as ingest:
            for _ in range(100):
                ingest.write(bytes(4096))
        assert "no space left on device" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert list(store.walk()) == [small]
        assert len(files_below(tmp_path)) == 1
        content.add(store, b"there is room again")

    own_mounts(body)
