"""Content store: immutable bytes addressed by their digest.

    with store.open(digest) as file: …        committed bytes
    with store.write() as ingest:             bytes on their way in
        ingest.write(chunk)
        ingest.commit(expected=digest)        visible from here on

Bytes are invisible until `commit`, and `commit` of a known digest is a no-op. An ingest that is
given a name (`store.write("layer-…")`) keeps what it has when it is left without a commit, and goes
on from there the next time: `ingest.offset` says where. Bytes are kept exactly as they came.
"""

from __future__ import annotations

from sampan.image.content.files import FileStore, sync
from sampan.image.content.memory import MemoryStore
from sampan.image.content.store import (
    BlobNotFound,
    ContentStore,
    DigestMismatch,
    Ingest,
    SizeMismatch,
    StoreFull,
    UnknownAlgorithm,
    add,
    read,
)
from sampan.spec.oci_image import Digest

__all__ = [
    "BlobNotFound",
    "ContentStore",
    "Digest",
    "DigestMismatch",
    "FileStore",
    "Ingest",
    "MemoryStore",
    "SizeMismatch",
    "StoreFull",
    "UnknownAlgorithm",
    "add",
    "read",
    "sync",
]
