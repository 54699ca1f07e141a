"""Write images as one archive that is an OCI layout and `docker save`'s form at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.image import content, platforms, tar
from sampan.image.archive.books import blob_path, descriptor
from sampan.kit.record import Record
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Saved(Record):
    digest: str  # a manifest, or an index: then with all that is here of it
    names: tuple[str, ...] = ()  # full references


def save(
    store: content.ContentStore,
    images: Iterable[Saved],
    write: Callable[[bytes], object],
) -> None:
    """One archive; of what several images share, one copy."""
    writer = tar.Writer(write)
    written: set[str] = set()
    index: list[dict[str, Any]] = []
    legacy: list[dict[str, Any]] = []
    for image in images:
        document = oci_image.decode(content.read(store, image.digest), image.digest)
        for blob in platforms.reachable(store, [image.digest]):
            _write_blob(store, writer, blob, written)
        kind = oci_image.media_type(document)
        for name in image.names or ("",):
            index.append(descriptor(store, kind, image.digest) | _annotations(name))
        legacy += _classic(store, image)
    top = {"schemaVersion": 2, "mediaType": oci_image.INDEX, "manifests": index}
    writer.add(tar.Entry("index.json"), oci_image.encode(top))
    writer.add(tar.Entry("manifest.json"), oci_image.encode(legacy))
    writer.add(tar.Entry("oci-layout"), b'{"imageLayoutVersion":"1.0.0"}')
    writer.finish()


def _classic(store: content.ContentStore, image: Saved) -> list[dict[str, Any]]:
    """What `docker load` of old reads: one platform, and nothing that is no image."""
    found = platforms.shown(store, image.digest)
    if found is None:
        return []
    manifest = oci_image.decode(content.read(store, found), found)
    parts = [manifest["config"], *(manifest.get("layers") or [])]
    paths = [blob_path(part["digest"]) for part in parts]
    tags = [reference.familiar(name) for name in image.names if "@" not in name]
    return [{"Config": paths[0], "RepoTags": tags or None, "Layers": paths[1:]}]


def _annotations(name: str) -> dict[str, Any]:
    if not name or "@" in name:
        return {}
    tag = name.rpartition(":")[2]
    names = {"io.containerd.image.name": name, oci_image.REF_NAME: tag}
    return {"annotations": names}


def _write_blob(
    store: content.ContentStore, writer: tar.Writer, digest: str, written: set[str]
) -> None:
    if digest in written:
        return
    written.add(digest)
    entry = tar.Entry(blob_path(digest), size=store.size(digest))
    with store.open(digest) as file:
        writer.add_file(entry, file.fileno())
