"""What pull and push ask of a store. Subclass it, provide `store`, inherit the tests."""

import hashlib

import pytest

from sampan.kit import errors
from sampan.registry.store import Store

DATA = b"some bytes"
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()


class StoreContract:
    def test_what_is_committed_is_there(self, store: Store) -> None:
        assert DIGEST not in store
        with store.write() as ingest:
            ingest.write(DATA)
            assert ingest.commit(DIGEST, len(DATA)) == DIGEST
        assert DIGEST in store
        assert store.size(DIGEST) == len(DATA)
        with store.open(DIGEST) as file:
            assert file.read() == DATA

    def test_a_named_ingest_goes_on(self, store: Store) -> None:
        with store.write("part") as ingest:
            ingest.write(DATA[:4])
        with store.write("part") as ingest:
            assert ingest.offset == 4
            ingest.write(DATA[4:])
            ingest.commit(DIGEST, len(DATA))
        with store.write("part") as ingest:
            assert ingest.offset == 0

    def test_wrong_bytes_are_not_kept(self, store: Store) -> None:
        with store.write("part") as ingest:
            ingest.write(b"other")
            with pytest.raises(errors.InvalidArgument):
                ingest.commit(DIGEST, 5)
        assert DIGEST not in store
        with store.write("part") as ingest:
            assert ingest.offset == 0

    def test_reset_forgets(self, store: Store) -> None:
        with store.write("part") as ingest:
            ingest.write(b"other")
            ingest.reset()
            assert ingest.offset == 0
            ingest.write(DATA)
            ingest.commit(DIGEST)
        assert store.size(DIGEST) == len(DATA)

    def test_unknown_blobs(self, store: Store) -> None:
        with pytest.raises(errors.NotFound):
            store.open(DIGEST)
        with pytest.raises(errors.NotFound):
            store.size(DIGEST)

    def test_a_part_is_kept_until_it_is_abandoned(self, store: Store) -> None:
        with store.part("ahead") as file:
            assert file.tell() == 0
            file.write(b"some ")
        with store.part("ahead") as file:
            assert file.tell() == 5
            file.write(b"bytes")
            file.seek(0)
            assert file.read() == DATA
        store.abandon("ahead")
        store.abandon("ahead")
        with store.part("ahead") as file:
            assert file.tell() == 0
        store.abandon("ahead")
