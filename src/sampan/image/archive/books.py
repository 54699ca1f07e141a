"""An archive's files in the store, and the documents that say what they are."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from sampan.image import compress, content, tar
from sampan.kit import errors
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import Iterator

BOOKS = ("manifest.json", "index.json", "oci-layout", "repositories")


class NotAnArchive(errors.InvalidArgument):
    def __init__(self, why: str) -> None:
        super().__init__(f"this is no image archive: {why}")


def take_in(store: content.ContentStore, stream: Iterator[bytes], files: dict[str, str]) -> None:
    """Every file of the archive into the store: path → digest, links followed."""
    links: dict[str, str] = {}
    source = tar.Source(compress.decompress(stream))
    for entry in tar.read(source):
        name = path_of(entry.name)
        if entry.sparse is not None:
            raise NotAnArchive(f"{name} is a sparse member")
        if entry.kind == tar.REGULAR:
            with store.write() as ingest:
                for piece in source.pieces(entry.size):
                    ingest.write(piece)
                files[name] = ingest.commit(_claimed(name))
        elif entry.kind in (tar.SYMLINK, tar.HARD_LINK):
            above = os.path.dirname(name) if entry.kind == tar.SYMLINK else ""
            links[name] = path_of(os.path.join(above, entry.link))
    source.drain()
    for name in links:
        target, seen = name, set()
        while target in links and target not in seen:
            seen.add(target)
            target = links[target]
        if target in files:
            files[name] = files[target]


def path_of(name: str) -> str:
    """A key to find a file by; nothing is ever opened under such a name."""
    return os.path.normpath(name).lstrip("/")


def _claimed(name: str) -> str | None:
    """A layout's blobs must be what their names say (image-layout.md)."""
    parts = name.split("/")
    if len(parts) == 3 and parts[0] == "blobs":
        claimed = f"{parts[1]}:{parts[2]}"
        return claimed if reference.valid_digest(claimed) else None
    return None


def document(store: content.ContentStore, digest: str, kind: type = dict) -> Any:
    if not reference.valid_digest(digest) or digest not in store:
        raise NotAnArchive(f"it names {digest!r}, which is not in it")
    if store.size(digest) > oci_image.LARGEST_DOCUMENT:
        raise NotAnArchive(f"{digest} is too large for a manifest or a config")
    data = content.read(store, digest)
    if kind is dict:
        return oci_image.decode(data, digest)
    try:
        found = json.loads(data)
    except ValueError as error:
        raise NotAnArchive(f"{digest} is no JSON: {error}") from error
    if not isinstance(found, kind):
        raise NotAnArchive(f"{digest} is not the kind of document that it should be")
    return found


def descriptor(store: content.ContentStore, kind: str, digest: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": store.size(digest)}


def blob_path(digest: str) -> str:
    algorithm, _, encoded = digest.partition(":")
    return f"blobs/{algorithm}/{encoded}"
