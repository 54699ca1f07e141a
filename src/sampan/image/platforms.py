"""What of an index is here, and which of its images suits a platform.

find(store, digest, platform)      the manifest to run, through nested indexes
members(store, digest)             every image of an index, here or not
reachable(store, digests)          all that belongs to them and is here
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sampan.image import content
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DEEPEST = 8  # indexes within indexes


class Member(Record):
    descriptor: dict[str, Any]
    platform: oci_image.Platform | None
    attests: str  # digest of the image that it says something about; "" for an image
    here: bool  # it and all its blobs are in the store


class NotHere(errors.NotFound):
    def __init__(self, digest: str, platform: object) -> None:
        super().__init__(f"the image for {platform} ({digest}) is not stored here; pull it first")


def decode(store: content.ContentStore, digest: str) -> dict[str, Any]:
    """A document of the store. Raises BlobNotFound, InvalidArgument."""
    size = store.size(digest)
    if size > oci_image.LARGEST_DOCUMENT:
        raise errors.InvalidArgument(f"{digest}: {size} bytes are too many for a manifest")
    return oci_image.decode(content.read(store, digest), digest)


def find(store: content.ContentStore, digest: str, wanted: oci_image.Platform) -> str:
    """The image manifest for a platform, at `digest` or below it.

    Raises oci_image.NoMatchingPlatform, NotHere. A manifest by itself is its own answer.
    """
    for _ in range(_DEEPEST):
        document = decode(store, digest)
        if oci_image.media_type(document) not in oci_image.INDEXES:
            return digest
        flat = {"manifests": [*_flat(store, document, 0)]}
        digest = str(oci_image.choose(flat, wanted).get("digest"))
        if digest not in store:
            raise NotHere(digest, wanted)
    raise errors.InvalidArgument(f"{digest}: indexes are nested too deeply")


def _flat(
    store: content.ContentStore, index: dict[str, Any], depth: int
) -> Iterator[dict[str, Any]]:
    """An index's entries, those of nested indexes in their places."""
    for entry in oci_image.entries(index):
        nested = entry.get("mediaType") in oci_image.INDEXES and not entry.get("platform")
        if nested and depth < _DEEPEST and str(entry.get("digest")) in store:
            yield from _flat(store, decode(store, entry["digest"]), depth + 1)
        else:
            yield entry


def members(store: content.ContentStore, digest: str) -> list[Member]:
    """The manifests of an index, in its order; of a manifest that one."""
    document = decode(store, digest)
    kind = oci_image.media_type(document)
    if kind not in oci_image.INDEXES:
        described = {"mediaType": kind, "digest": digest, "size": store.size(digest)}
        return [_member(store, described)]
    return [_member(store, entry) for entry in _flat(store, document, 0)]


def _member(store: content.ContentStore, entry: dict[str, Any]) -> Member:
    digest = str(entry.get("digest"))
    said = entry.get("platform") or {}
    here = digest in store
    if not said and here:
        said = _of_config(store, digest)
    platform = None
    if said.get("os") and said.get("architecture"):
        platform = oci_image.Platform(
            os=said["os"],
            architecture=oci_image.architecture(said["architecture"]),
            variant=said.get("variant") or "",
        )
    return Member(
        descriptor=entry,
        platform=platform,
        attests=oci_image.attests(entry),
        here=here and all(part in store for part in parts(store, digest)[0]),
    )


def _of_config(store: content.ContentStore, digest: str) -> dict[str, Any]:
    """The platform of a manifest whose descriptor does not say it."""
    try:
        config = decode(store, digest).get("config") or {}
        if config.get("mediaType") in oci_image.CONFIGS and config["digest"] in store:
            return decode(store, config["digest"])
    except (errors.SampanError, KeyError):
        pass  # it is damaged; whoever runs it is told so
    return {}


def shown(store: content.ContentStore, digest: str) -> str | None:
    """The manifest that stands for an index where only one can: this host's, else the first."""
    found = [m for m in members(store, digest) if m.here and not m.attests and m.platform]
    try:
        here = find(store, digest, oci_image.host_platform())
    except errors.NotFound:
        return str(found[0].descriptor["digest"]) if found else None
    if any(member.descriptor["digest"] == here for member in found):
        return here
    return str(found[0].descriptor["digest"]) if found else None


def parts(store: content.ContentStore, digest: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The blobs that a manifest names, and the documents that an index does."""
    return _parts(content.read(store, digest))


@lru_cache(256)
def _parts(data: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    document = oci_image.decode(data)
    blobs = [document.get("config") or {}, *(document.get("layers") or ())]
    return tuple(_digests(blobs)), tuple(_digests(document.get("manifests") or ()))


def _digests(descriptors: Iterable[dict[str, Any]]) -> Iterator[str]:
    yield from (str(item["digest"]) for item in descriptors if "digest" in item)


def reachable(store: content.ContentStore, digests: Iterable[str]) -> list[str]:
    """Manifests and indexes with all that they name, as far as it is in the store, each once."""
    found: dict[str, None] = {}
    pending = list(digests)
    while pending:
        digest = pending.pop(0)
        if digest in found or digest not in store:
            continue
        found[digest] = None
        try:
            blobs, documents = parts(store, digest)
        except (errors.InvalidArgument, TypeError, AttributeError):
            continue  # it is damaged, or of a kind that nobody here knows
        found.update((blob, None) for blob in blobs if blob in store)
        pending += documents
    return list(found)
