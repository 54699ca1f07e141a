"""Images in archives: `docker save`'s form and OCI layouts, read from a stream and written to one.

    for image in load(store, chunks): image.manifest, image.names
    save(store, [(manifest digest, names)], write)

What is written is both at once, as modern docker writes it: `oci-layout`, `index.json` and
`blobs/…` of image-layout.md, and `manifest.json` for older readers. Archives are read front to
back, so they may come through a pipe; blobs go into the content store under the digest of what
came.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from sampan.image import compress, content, tar
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_BOOKS = ("manifest.json", "index.json", "oci-layout", "repositories")
_SMALL = 8 << 20  # no manifest or config is larger


class Loaded(Record):
    manifest: str  # digest of the image's manifest, now in the store
    names: tuple[str, ...]  # full references


class NotAnArchive(errors.InvalidArgument):
    def __init__(self, why: str) -> None:
        super().__init__(f"this is no image archive: {why}")


def load(
    store: content.ContentStore,
    stream: Iterator[bytes],
    platform: oci_image.Platform | None = None,
) -> list[Loaded]:
    """Read an archive in any compression. Raises NotAnArchive, TarError, DigestMismatch.

    An archive that is refused leaves nothing in the store that was not there before.
    """
    before = set(store.walk())
    files: dict[str, str] = {}
    try:
        _take_in(store, stream, files)
        return _images(store, files, platform or oci_image.host_platform())
    except BaseException:
        for digest in set(files.values()) - before:
            store.delete(digest)
        raise
    finally:
        for name in _BOOKS:
            if name in files and files[name] not in before:
                store.delete(files[name])


def _images(
    store: content.ContentStore, files: dict[str, str], platform: oci_image.Platform
) -> list[Loaded]:
    """Where both forms are there, the layout's: it keeps the manifests as they were."""
    if "index.json" in files and "oci-layout" in files:
        found = list(_layout(store, files, platform))
        if found or "manifest.json" not in files:
            return found
    if "manifest.json" in files:
        return list(_docker(store, files))
    if "index.json" in files:
        return list(_layout(store, files, platform))
    raise NotAnArchive("it has neither manifest.json nor index.json")


def _take_in(store: content.ContentStore, stream: Iterator[bytes], files: dict[str, str]) -> None:
    """Every file of the archive into the store: path → digest, links followed."""
    links: dict[str, str] = {}
    source = tar.Source(compress.decompress(stream))
    for entry in tar.read(source):
        name = _path(entry.name)
        if entry.sparse is not None:
            raise NotAnArchive(f"{name} is a sparse member")
        if entry.kind == tar.REGULAR:
            with store.write() as ingest:
                for piece in source.pieces(entry.size):
                    ingest.write(piece)
                files[name] = ingest.commit(_claimed(name))
        elif entry.kind in (tar.SYMLINK, tar.HARD_LINK):
            above = os.path.dirname(name) if entry.kind == tar.SYMLINK else ""
            links[name] = _path(os.path.join(above, entry.link))
    source.drain()
    for name in links:
        target, seen = name, set()
        while target in links and target not in seen:
            seen.add(target)
            target = links[target]
        if target in files:
            files[name] = files[target]


def _path(name: str) -> str:
    """A key to find a file by; nothing is ever opened under such a name."""
    return os.path.normpath(name).lstrip("/")


def _claimed(name: str) -> str | None:
    """A layout's blobs must be what their names say (image-layout.md)."""
    parts = name.split("/")
    if len(parts) == 3 and parts[0] == "blobs":
        claimed = f"{parts[1]}:{parts[2]}"
        return claimed if reference.valid_digest(claimed) else None
    return None


def _json(store: content.ContentStore, digest: str, kind: type = dict) -> Any:
    if not reference.valid_digest(digest) or digest not in store:
        raise NotAnArchive(f"it names {digest!r}, which is not in it")
    if store.size(digest) > _SMALL:
        raise NotAnArchive(f"{digest} is too large for a manifest or a config")
    try:
        document = json.loads(content.read(store, digest))
    except ValueError as error:
        raise NotAnArchive(f"{digest} is no JSON: {error}") from error
    if not isinstance(document, kind):
        raise NotAnArchive(f"{digest} is not the kind of document that it should be")
    return document


def _docker(store: content.ContentStore, files: dict[str, str]) -> Iterator[Loaded]:
    for entry in _list(_json(store, files["manifest.json"], list), "manifest.json"):
        try:
            config = files[_path(entry["Config"])]
            layers = [files[_path(name)] for name in entry.get("Layers") or []]
        except KeyError as error:
            raise NotAnArchive(f"manifest.json names {error}, which is not in it") from None
        except TypeError:
            raise NotAnArchive("manifest.json names something that is no path") from None
        manifest = {
            "schemaVersion": 2,
            "mediaType": oci_image.MANIFEST,
            "config": _descriptor(store, oci_image.CONFIG, config),
            "layers": [_descriptor(store, _layer_type(store, layer), layer) for layer in layers],
        }
        oci_image.layers_of(manifest, _json(store, config))
        names = tuple(
            reference.full(name) for name in _list(entry.get("RepoTags"), "RepoTags", str)
        )
        digest = content.add(store, oci_image.encode(manifest))
        yield Loaded(manifest=digest, names=names)


def _list(value: Any, what: str, kind: type = dict) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, kind) for each in value):
        raise NotAnArchive(f"{what} is not what it should be")
    return value


def _layout(
    store: content.ContentStore, files: dict[str, str], platform: oci_image.Platform
) -> Iterator[Loaded]:
    names: dict[str, list[str]] = {}
    for entry in _list(_json(store, files["index.json"]).get("manifests"), "index.json"):
        annotations = entry.get("annotations") or {}
        name = annotations.get("io.containerd.image.name") or annotations.get(
            "org.opencontainers.image.ref.name", ""
        )
        digest = entry.get("digest", "")
        document = _json(store, digest)
        if oci_image.media_type(document) in oci_image.INDEXES:
            digest = oci_image.choose(document, platform)["digest"]
        _complete(store, digest)
        found = names.setdefault(digest, [])
        if ":" in name or "/" in name:
            found.append(reference.full(name))
    for digest, full in names.items():
        yield Loaded(manifest=digest, names=tuple(full))


def _complete(store: content.ContentStore, digest: str) -> None:
    """Refuse a manifest whose parts are not all there, or do not belong together."""
    manifest = _json(store, digest)
    try:
        parts = [part["digest"] for part in (manifest["config"], *(manifest.get("layers") or []))]
    except (KeyError, TypeError):
        raise NotAnArchive(f"{digest} is no image manifest") from None
    for part in parts:
        if part not in store:
            raise NotAnArchive(f"{part}, of the manifest {digest}, is not in it")
    oci_image.layers_of(manifest, _json(store, parts[0]))


def _descriptor(store: content.ContentStore, kind: str, digest: str) -> dict[str, Any]:
    return {"mediaType": kind, "digest": digest, "size": store.size(digest)}


def _layer_type(store: content.ContentStore, digest: str) -> str:
    with store.open(digest) as file:
        head = file.read(4)
    if head.startswith(b"\x1f\x8b"):
        return oci_image.LAYER_GZIP
    return oci_image.LAYER_ZSTD if head == b"\x28\xb5\x2f\xfd" else oci_image.LAYER


def save(
    store: content.ContentStore,
    images: Iterable[tuple[str, tuple[str, ...]]],
    write: Callable[[bytes], object],
) -> None:
    """Write (manifest digest, full names) pairs as one archive."""
    writer = tar.Writer(write)
    written: set[str] = set()
    index: list[dict[str, Any]] = []
    legacy: list[dict[str, Any]] = []
    for digest, names in images:
        manifest = _json(store, digest)
        parts = [manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
        for blob in (digest, *parts):
            _write_blob(store, writer, blob, written)
        kind = oci_image.media_type(manifest)
        for name in names or ("",):
            index.append(_descriptor(store, kind, digest) | _annotations(name))
        tags = [reference.familiar(name) for name in names if "@" not in name]
        paths = [_blob_path(part) for part in parts]
        legacy.append({"Config": paths[0], "RepoTags": tags or None, "Layers": paths[1:]})
    document = {"schemaVersion": 2, "mediaType": oci_image.INDEX, "manifests": index}
    writer.add(tar.Entry("index.json"), oci_image.encode(document))
    writer.add(tar.Entry("manifest.json"), oci_image.encode(legacy))  # type: ignore[arg-type]
    writer.add(tar.Entry("oci-layout"), b'{"imageLayoutVersion":"1.0.0"}')
    writer.finish()


def _annotations(name: str) -> dict[str, Any]:
    if not name or "@" in name:
        return {}
    tag = name.rpartition(":")[2]
    names = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}
    return {"annotations": names}


def _blob_path(digest: str) -> str:
    algorithm, _, encoded = digest.partition(":")
    return f"blobs/{algorithm}/{encoded}"


def _write_blob(
    store: content.ContentStore, writer: tar.Writer, digest: str, written: set[str]
) -> None:
    if digest in written:
        return
    written.add(digest)
    entry = tar.Entry(_blob_path(digest), size=store.size(digest))
    with store.open(digest) as file:
        writer.add_file(entry, file.fileno())


class LayerWriter:
    """A layer on its way into a store: compressed, with the digests of both forms.

    with store.write() as ingest:
        layer = LayerWriter(ingest)
        layer.write(tar bytes); …
        descriptor, diff_id = layer.finish()
    """

    def __init__(self, ingest: content.Ingest) -> None:
        self._ingest = ingest
        self._plain = hashlib.sha256()
        self._gzip = compress.GzipWriter(ingest.write)

    def write(self, data: bytes) -> None:
        self._plain.update(data)
        self._gzip.write(data)

    def finish(self) -> tuple[dict[str, Any], str]:
        self._gzip.finish()
        size = self._ingest.offset
        digest = self._ingest.commit()
        layer = {"mediaType": oci_image.LAYER_GZIP, "digest": digest, "size": size}
        return layer, f"sha256:{self._plain.hexdigest()}"


def write_image(
    store: content.ContentStore, config: dict[str, Any], layers: list[dict[str, Any]]
) -> str:
    """Put config and manifest into a store; the manifest's digest."""
    data = oci_image.encode(config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": oci_image.MANIFEST,
        "config": oci_image.descriptor(oci_image.CONFIG, data),
        "layers": layers,
    }
    content.add(store, data)
    return content.add(store, oci_image.encode(manifest))
