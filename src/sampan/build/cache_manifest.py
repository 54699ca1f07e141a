"""A build's cache as documents that travel: BuildKit's `cacheconfig.v0`.

    config, manifest = documents(entries, image_manifest=True, oci=True)
    found = read(manifest, config)                    what a manifest of somebody's cache holds
    found = read_inline(image config, manifest)       what an image carries along

A record is a step: the digest is its key (`cache.key`), its result the layer that it made, if it
made one. Keys are digests of what decides about a step, the same in every engine; those of BuildKit
are digests of other things, so that each builder reads the other's caches and finds nothing of its
own in them. Layers stand alone (`parent` -1): a key says what lies below, or that it does not
matter. Contents of cache mounts are layers with an annotation of ours. Source: moby/buildkit
cache/remotecache/v1/types.
"""

from __future__ import annotations

import base64
import json

from sampan.build.state import Layer
from sampan.kit import errors
from sampan.kit.record import Record
from sampan.spec import oci_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

CONFIG = "application/vnd.buildkit.cacheconfig.v0"
INLINE = "moby.buildkit.cache.v0"  # in an image's config: base64 of the records
DIFF_ID = "containerd.io/uncompressed"
MOUNT = "io.sampan.cache-mount"  # the id of a cache mount
_DOCKER_LAYERS = {
    oci_image.LAYER: oci_image.DOCKER_LAYER_PLAIN,
    oci_image.LAYER_GZIP: oci_image.DOCKER_LAYER,
    oci_image.LAYER_ZSTD: oci_image.DOCKER_LAYER_ZSTD,
}
_OCI_LAYERS = {docker: oci for oci, docker in _DOCKER_LAYERS.items()}


class Entries(Record):
    """What a cache has: steps by their keys (None: it makes no layer), and mounts by their ids."""

    steps: Mapping[str, Layer | None] = {}
    mounts: Mapping[str, Layer] = {}

    @property
    def layers(self) -> list[tuple[Layer, str]]:
        """Each blob once, in a fixed order, with the id of the mount whose contents it has."""
        made = [(layer, "") for _, layer in sorted(self.steps.items()) if layer is not None]
        made += [(layer, ident) for ident, layer in sorted(self.mounts.items())]
        unique = {layer.descriptor["digest"]: (layer, ident) for layer, ident in made}
        return list(unique.values())


class NotACache(errors.InvalidArgument):
    def __init__(self, why: str) -> None:
        super().__init__(f"this is no build cache: {why}")


def documents(
    entries: Entries, *, image_manifest: bool = True, oci: bool = True
) -> tuple[bytes, bytes]:
    """The cache's config, and the manifest or index that names it and all blobs."""
    numbers = {layer.descriptor["digest"]: at for at, (layer, _) in enumerate(entries.layers)}
    records = _records(entries.steps, numbers)
    listed = [{"blob": digest, "parent": -1} for digest in numbers]
    config = oci_image.encode({"layers": listed, "records": records})
    layers = [_described(layer, ident, oci) for layer, ident in entries.layers]
    described = oci_image.descriptor(CONFIG, config)
    top: dict[str, Any] = {"schemaVersion": 2}
    if image_manifest:
        top |= {"mediaType": oci_image.MANIFEST, "config": described, "layers": layers}
    else:
        kind = oci_image.INDEX if oci else oci_image.DOCKER_LIST
        top |= {"mediaType": kind, "manifests": [*layers, described]}
    return config, oci_image.encode(top)


def _records(steps: Mapping[str, Layer | None], numbers: Mapping[str, int]) -> list[dict[str, Any]]:
    """Steps without a layer stand for themselves: that they were done is all there is to know."""
    found: list[dict[str, Any]] = []
    for key, layer in sorted(steps.items()):
        record: dict[str, Any] = {"digest": f"sha256:{key}"}
        if layer is not None:
            record["layers"] = [{"layer": numbers[layer.descriptor["digest"]]}]
        found.append(record)
    return found


def _described(layer: Layer, ident: str, oci: bool) -> dict[str, Any]:
    kind = layer.descriptor["mediaType"]
    notes = {**(layer.descriptor.get("annotations") or {}), DIFF_ID: layer.diff_id}
    if ident:
        notes[MOUNT] = ident
    wanted = kind if oci else _DOCKER_LAYERS.get(kind, kind)
    return {**layer.descriptor, "mediaType": wanted, "annotations": notes}


def inline(steps: Mapping[str, Layer | None], layers: Sequence[Layer]) -> str:
    """The records whose layers are the image's, for its config; layers count from the base on."""
    numbers = {layer.descriptor["digest"]: at for at, layer in enumerate(layers)}
    kept = {
        key: layer
        for key, layer in steps.items()
        if layer is None or layer.descriptor["digest"] in numbers
    }
    records = _records(kept, numbers)
    for record in records:
        if "layers" in record:
            # Alone, as `chains` has it: `layers` would mean it with all that lie below it.
            record["chains"] = [{"layers": [one["layer"]]} for one in record.pop("layers")]
    return base64.b64encode(oci_image.encode(records)).decode()


# -- reading


def descriptors(manifest: dict[str, Any]) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """A cache's config and its layers, of a manifest or an index; no config: it is an image."""
    listed = [manifest.get("config") or {}]
    listed += manifest.get("layers") or manifest.get("manifests") or []
    if not all(isinstance(one, dict) and isinstance(one.get("digest", ""), str) for one in listed):
        raise NotACache("its manifest names something that is no descriptor")
    configs = [one for one in listed if one.get("mediaType") == CONFIG]
    return (configs[0] if configs else None), [one for one in listed[1:] if one not in configs]


def read(layers: Iterable[dict[str, Any]], config: dict[str, Any]) -> Entries:
    """Raises NotACache. Records that mean nothing here are passed over."""
    known = {one["digest"]: one for one in layers if one.get("digest")}
    listed = [_layer(known.get(str(one.get("blob")))) for one in _list(config, "layers")]
    mounts = {
        notes[MOUNT]: layer
        for one in known.values()
        if MOUNT in (notes := one.get("annotations") or {}) and (layer := _layer(one))
    }
    return Entries(steps=_steps(_list(config, "records"), listed), mounts=mounts)


def read_inline(config: dict[str, Any], manifest: dict[str, Any]) -> Entries:
    """Of an image; Entries without anything where it carries none. Raises NotACache."""
    text = config.get(INLINE)
    if not text:
        return Entries()
    try:
        records = json.loads(base64.b64decode(text, validate=True))
    except (ValueError, TypeError) as error:
        raise NotACache(f"the image's {INLINE} is damaged: {error}") from error
    pairs = oci_image.layers_of(manifest, config)
    layers: list[Layer | None] = [Layer(descriptor=one, diff_id=diff) for one, diff in pairs]
    return Entries(steps=_steps(_list({"": records}, ""), layers))


def _steps(
    records: list[dict[str, Any]], layers: Sequence[Layer | None]
) -> dict[str, Layer | None]:
    found: dict[str, Layer | None] = {}
    for record in records:
        key = str(record.get("digest", "")).removeprefix("sha256:")
        numbers = [one.get("layer") for one in _list(record, "layers")]
        for chain in _list(record, "chains"):
            numbers += chain.get("layers") or []
        if record.get("inputs"):
            continue  # BuildKit's: this key means nothing without those of its inputs
        if not numbers:
            found.setdefault(key, None)
            continue
        at = numbers[0] if len(numbers) == 1 else None
        layer = layers[at] if isinstance(at, int) and 0 <= at < len(layers) else None
        if layer is not None:
            found[key] = layer
    return found


def _list(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = document.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise NotACache(f"its {name or 'records'} are no list of objects")
    return found


def _layer(described: dict[str, Any] | None) -> Layer | None:
    """As the step made it: what the annotations say of the cache alone is left behind."""
    notes = dict((described or {}).get("annotations") or {})
    diff_id = notes.pop(DIFF_ID, "")
    if described is None or not diff_id:
        return None
    for name in (MOUNT, "buildkit/createdat", "buildkit/description"):
        notes.pop(name, None)
    kind = described.get("mediaType", "")
    kept = {"mediaType": _OCI_LAYERS.get(kind, kind)}
    kept |= {name: described.get(name) for name in ("digest", "size")}
    return Layer(descriptor={**kept, **({"annotations": notes} if notes else {})}, diff_id=diff_id)
