"""Read an archive: the images in it that can be run, or everything in it to copy it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sampan.image import content, platforms
from sampan.image.archive.books import BOOKS, NotAnArchive, descriptor, document, path_of, take_in
from sampan.kit.record import Record
from sampan.spec import oci_image, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


T = TypeVar("T")


class Loaded(Record):
    manifest: str  # digest of the image's manifest, now in the store
    names: tuple[str, ...]  # full references
    target: str = ""  # digest of the index that it was chosen from


class Entry(Record):
    descriptor: dict[str, Any]
    names: tuple[str, ...]


def load(
    store: content.ContentStore,
    stream: Iterator[bytes],
    platform: oci_image.Platform | None = None,
) -> list[Loaded]:
    """Read an archive in any compression. Raises NotAnArchive, TarError, DigestMismatch.

    Of an index the given platform is chosen, this host's if none is given. An archive that is
    refused leaves nothing in the store that was not there before.
    """

    def images(files: dict[str, str]) -> list[Loaded]:
        return _images(store, _entries(store, files), platform or oci_image.host_platform())

    return _reading(store, stream, images)


def read_all(store: content.ContentStore, stream: Iterator[bytes]) -> list[Entry]:
    """Everything an archive names, whatever it is, with all that is below it."""
    return _reading(store, stream, lambda files: _entries(store, files))


def _reading(
    store: content.ContentStore,
    stream: Iterator[bytes],
    use: Callable[[dict[str, str]], list[T]],
) -> list[T]:
    before = set(store.walk())
    files: dict[str, str] = {}
    try:
        take_in(store, stream, files)
        return use(files)
    except BaseException:
        for digest in set(files.values()) - before:
            store.delete(digest)
        raise
    finally:
        for name in BOOKS:
            if name in files and files[name] not in before:
                store.delete(files[name])


def _entries(store: content.ContentStore, files: dict[str, str]) -> list[Entry]:
    """Where both forms are there, the layout's: it keeps the manifests as they were."""
    if "index.json" in files and "oci-layout" in files:
        found = _layout(store, files)
        if found or "manifest.json" not in files:
            return found
    if "manifest.json" in files:
        return list(_docker(store, files))
    if "index.json" in files:
        return _layout(store, files)
    raise NotAnArchive("it has neither manifest.json nor index.json")


def _docker(store: content.ContentStore, files: dict[str, str]) -> Iterator[Entry]:
    for entry in _list(document(store, files["manifest.json"], list), "manifest.json"):
        try:
            config = files[path_of(entry["Config"])]
            layers = [files[path_of(name)] for name in entry.get("Layers") or []]
        except KeyError as error:
            raise NotAnArchive(f"manifest.json names {error}, which is not in it") from None
        except TypeError:
            raise NotAnArchive("manifest.json names something that is no path") from None
        manifest = {
            "schemaVersion": 2,
            "mediaType": oci_image.MANIFEST,
            "config": descriptor(store, oci_image.CONFIG, config),
            "layers": [descriptor(store, _layer_type(store, layer), layer) for layer in layers],
        }
        oci_image.layers_of(manifest, document(store, config))
        names = tuple(
            reference.full(name) for name in _list(entry.get("RepoTags"), "RepoTags", str)
        )
        digest = content.add(store, oci_image.encode(manifest))
        yield Entry(descriptor=descriptor(store, oci_image.MANIFEST, digest), names=names)


def _list(value: Any, what: str, kind: type = dict) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, kind) for each in value):
        raise NotAnArchive(f"{what} is not what it should be")
    return value


def _layout(store: content.ContentStore, files: dict[str, str]) -> list[Entry]:
    """What index.json lists, in its order; names of one thing together."""
    _check_version(store, files)
    found: dict[str, dict[str, Any]] = {}
    names: dict[str, list[str]] = {}
    for entry in _list(document(store, files["index.json"]).get("manifests"), "index.json"):
        digest = str(entry.get("digest", ""))
        annotations = entry.get("annotations") or {}
        name = annotations.get("io.containerd.image.name") or annotations.get(
            oci_image.REF_NAME, ""
        )
        if not reference.valid_digest(digest) or digest not in store:
            raise NotAnArchive(f"it names {digest!r}, which is not in it")
        found.setdefault(digest, entry)
        full = names.setdefault(digest, [])
        if ":" in name or "/" in name:
            full.append(reference.full(name))
    return [Entry(descriptor=entry, names=tuple(names[d])) for d, entry in found.items()]


def _check_version(store: content.ContentStore, files: dict[str, str]) -> None:
    if "oci-layout" not in files:
        return
    version = document(store, files["oci-layout"]).get("imageLayoutVersion", "1.0.0")
    if not str(version).startswith("1."):
        raise NotAnArchive(f"it is an image layout of version {version}; this one knows 1.0.0")


def _images(
    store: content.ContentStore, entries: list[Entry], platform: oci_image.Platform
) -> list[Loaded]:
    """Those that can be run. What is of a kind that nobody here knows is passed over."""
    found = []
    for entry in entries:
        digest = entry.descriptor["digest"]
        kind = oci_image.media_type(document(store, digest), entry.descriptor)
        if kind in oci_image.INDEXES:
            manifest = platforms.find(store, digest, platform)
            _complete(store, manifest)
            found.append(Loaded(manifest=manifest, names=entry.names, target=digest))
        elif kind in oci_image.MANIFESTS:
            _complete(store, digest)
            found.append(Loaded(manifest=digest, names=entry.names))
    if entries and not found:
        raise NotAnArchive("nothing in it is an image that can be run")
    return found


def _complete(store: content.ContentStore, digest: str) -> None:
    """Refuse a manifest whose parts are not all there, or do not belong together."""
    manifest = document(store, digest)
    try:
        parts = [part["digest"] for part in (manifest["config"], *(manifest.get("layers") or []))]
    except (KeyError, TypeError):
        raise NotAnArchive(f"{digest} is no image manifest") from None
    for part in parts:
        if part not in store:
            raise NotAnArchive(f"{part}, of the manifest {digest}, is not in it")
    oci_image.layers_of(manifest, document(store, parts[0]))


def _layer_type(store: content.ContentStore, digest: str) -> str:
    with store.open(digest) as file:
        head = file.read(4)
    if head.startswith(b"\x1f\x8b"):
        return oci_image.LAYER_GZIP
    return oci_image.LAYER_ZSTD if head == b"\x28\xb5\x2f\xfd" else oci_image.LAYER
