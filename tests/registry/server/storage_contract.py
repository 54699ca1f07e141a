"""What every StorageDriver keeps."""

from __future__ import annotations

from pathlib import Path

from .conftest import digest


class StorageDriverContract:
    """`storage` is a fresh one; blobs are read from `path`."""

    def test_an_upload_becomes_a_blob(self, storage) -> None:
        name = digest(b"hello")
        assert storage.size(name) is None
        with open(storage.upload("one"), "ab") as file:
            file.write(b"hel")
        with open(storage.upload("one"), "ab") as file:  # asking again keeps what is there
            file.write(b"lo")
        storage.keep("one", name)
        assert storage.size(name) == 5
        assert Path(storage.path(name)).read_bytes() == b"hello"
        assert list(storage.digests()) == [name]

    def test_a_small_blob_at_once_and_twice(self, storage) -> None:
        for algorithm in ("sha256", "sha512"):
            name = digest(b"small", algorithm)
            storage.put(name, b"small")
            storage.put(name, b"small")
            assert storage.size(name) == 5
        assert len(list(storage.digests())) == 2

    def test_taking_away_what_is_not_there_is_fine(self, storage) -> None:
        storage.drop("nothing")
        storage.delete(digest(b"nothing"))
        storage.put(digest(b"x"), b"x")
        storage.delete(digest(b"x"))
        assert list(storage.digests()) == []
