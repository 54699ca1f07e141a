"""The same image in another form: other compression, Docker's or the OCI's documents, eStargz.

    digest = convert(store, digest, compression="zstd", documents="oci")

Contents stay what they are: only eStargz changes a layer's tar (and with it the image's id), since
its table of contents is a member. An index is converted whole, as far as it is in the store; what
is no image (an attestation, an artifact) goes along, pointing at the new digests. What has the
wanted form already keeps its bytes and its digest.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from sampan.image import compress, content, estargz, platforms
from sampan.kit import errors
from sampan.spec import oci_image

if TYPE_CHECKING:
    from sampan.image.content import ContentStore

COMPRESSIONS = ("gzip", "zstd", "uncompressed", "estargz")
DOCUMENTS = ("oci", "docker")
_LAYERS = {
    "oci": {
        "gzip": oci_image.LAYER_GZIP,
        "zstd": oci_image.LAYER_ZSTD,
        "uncompressed": oci_image.LAYER,
    },
    "docker": {
        "gzip": oci_image.DOCKER_LAYER,
        "zstd": oci_image.DOCKER_LAYER_ZSTD,
        "uncompressed": oci_image.DOCKER_LAYER_PLAIN,
    },
}
_FORM_OF = {kind: form for forms in _LAYERS.values() for form, kind in forms.items()}
_MANIFEST = {"oci": oci_image.MANIFEST, "docker": oci_image.DOCKER_MANIFEST}
_INDEX = {"oci": oci_image.INDEX, "docker": oci_image.DOCKER_LIST}
_CONFIG = {"oci": oci_image.CONFIG, "docker": oci_image.DOCKER_CONFIG}


def convert(store: ContentStore, digest: str, *, compression: str = "", documents: str = "") -> str:
    """The digest of the new manifest or index; the old one where nothing had to change.

    Raises InvalidArgument for a form that is none, Unsupported for what has no other form.
    """
    if compression and compression not in COMPRESSIONS:
        raise errors.InvalidArgument(
            f"{compression!r} is no compression: write {', '.join(COMPRESSIONS)}"
        )
    if documents and documents not in DOCUMENTS:
        raise errors.InvalidArgument(f"{documents!r} is no format: write oci or docker")
    return _Conversion(store, compression, documents).whole(digest)


def layer(
    store: ContentStore,
    descriptor: dict[str, Any],
    diff_id: str,
    compression: str,
    *,
    level: int | None = None,
) -> tuple[dict[str, Any], str]:
    """The OCI descriptor and diff_id of one layer in another compression."""
    made = _Conversion(store, compression, "oci", level)
    return made.layer(descriptor, diff_id, "oci")


def docker_layer(descriptor: dict[str, Any]) -> dict[str, Any]:
    """The same layer by Docker's media type. Raises Unsupported where there is none."""
    form = _FORM_OF.get(descriptor.get("mediaType", ""))
    if form is None:
        kind = descriptor.get("mediaType")
        raise errors.Unsupported(f"Docker has no name of its own for layers of type {kind!r}")
    return {**descriptor, "mediaType": _LAYERS["docker"][form]}


def layer_type(compression: str) -> str:
    return _LAYERS["oci"][compression]


class _Conversion:
    def __init__(
        self, store: ContentStore, compression: str, documents: str, level: int | None = None
    ) -> None:
        self._store, self._compression, self._documents = store, compression, documents
        self._level = level
        self._done: dict[str, tuple[dict[str, Any], str]] = {}  # layer → its new form, diff_id

    def whole(self, digest: str) -> str:
        document = platforms.decode(self._store, digest)
        if oci_image.media_type(document) in oci_image.INDEXES:
            return self._index(digest, document)
        return self._manifest(digest, document)

    def _index(self, digest: str, index: dict[str, Any]) -> str:
        kind = self._kind(oci_image.media_type(index), _INDEX)
        replaced: dict[str, str] = {}
        entries = []
        for entry in oci_image.entries(index):
            old = entry["digest"]
            if old in self._store and not oci_image.attests(entry):
                replaced[old] = self.whole(old)
                entry = entry | self._described(replaced[old], entry["mediaType"])
            entries.append(entry)
        converted = {
            **index,
            **self._typed(index, kind),
            "manifests": [_point(e, replaced) for e in entries],
        }
        return digest if converted == index else self._add(converted)

    def _described(self, digest: str, kind: str) -> dict[str, Any]:
        document = platforms.decode(self._store, digest)
        return {
            "mediaType": oci_image.media_type(document) or kind,
            "digest": digest,
            "size": self._store.size(digest),
        }

    def _manifest(self, digest: str, manifest: dict[str, Any]) -> str:
        described = manifest.get("config") or {}
        if described.get("mediaType") not in oci_image.CONFIGS:
            return digest  # an artifact: nobody here knows what its parts mean
        target = self._kind(oci_image.media_type(manifest), _MANIFEST)
        documents = "docker" if target == oci_image.DOCKER_MANIFEST else "oci"
        if documents == "docker" and (manifest.get("subject") or manifest.get("artifactType")):
            raise errors.Unsupported(
                f"{digest} has a subject or an artifact type, which Docker's manifests cannot say"
            )
        config = platforms.decode(self._store, described["digest"])
        made = [self.layer(*pair, documents) for pair in oci_image.layers_of(manifest, config)]
        converted = {
            **manifest,
            **self._typed(manifest, target),
            "config": self._config(described, config, [diff_id for _, diff_id in made], documents),
            "layers": [layer for layer, _ in made],
        }
        if documents == "docker":
            converted.pop("annotations", None)
        return digest if converted == manifest else self._add(converted)

    def _config(
        self,
        described: dict[str, Any],
        config: dict[str, Any],
        diff_ids: list[str],
        documents: str,
    ) -> dict[str, Any]:
        changed = {**described, "mediaType": _CONFIG[documents]}
        if diff_ids != config["rootfs"]["diff_ids"]:
            data = oci_image.encode(
                {**config, "rootfs": {**config["rootfs"], "diff_ids": diff_ids}}
            )
            changed |= {"digest": content.add(self._store, data), "size": len(data)}
            changed.pop("data", None)
        return changed

    def _typed(self, document: dict[str, Any], kind: str) -> dict[str, str]:
        """A document that does not say what it is, need not say so afterwards."""
        return {"mediaType": kind} if self._documents or "mediaType" in document else {}

    def _kind(self, kind: str, kinds: dict[str, str]) -> str:
        return kinds[self._documents] if self._documents else kind

    def layer(
        self, layer: dict[str, Any], diff_id: str, documents: str
    ) -> tuple[dict[str, Any], str]:
        """The descriptor and diff_id of one layer in the wanted form."""
        form = _FORM_OF.get(layer.get("mediaType", ""))
        if form is None:
            raise errors.Unsupported(
                f"layer {layer['digest']} has the type {layer.get('mediaType')!r}, which has no"
                " other form"
            )
        wanted = self._compression or form
        if wanted == form or (wanted == "estargz" and estargz.is_one(layer)):
            return {**layer, "mediaType": _LAYERS[documents][form]}, diff_id
        if layer["digest"] not in self._done:
            self._done[layer["digest"]] = self._again(layer, diff_id, wanted)
        changed, new_id = self._done[layer["digest"]]
        kind = _LAYERS[documents]["gzip" if wanted == "estargz" else wanted]
        return {"mediaType": kind, **changed}, new_id

    def _again(
        self, layer: dict[str, Any], diff_id: str, wanted: str
    ) -> tuple[dict[str, Any], str]:
        with self._store.open(layer["digest"]) as file, self._store.write() as ingest:
            stream = compress.decompress(compress.chunks(file))
            if wanted == "estargz":
                made = estargz.write(stream, ingest.write)
                size, digest = ingest.offset, ingest.commit()
                return {
                    "digest": digest,
                    "size": size,
                    "annotations": made.annotations,
                }, made.diff_id
            writer, plain = compress.compressor(wanted, ingest.write, self._level), hashlib.sha256()
            for chunk in stream:
                plain.update(chunk)
                writer.write(chunk)
            writer.finish()
            if f"sha256:{plain.hexdigest()}" != diff_id and diff_id.startswith("sha256:"):
                raise content.DigestMismatch(diff_id, f"sha256:{plain.hexdigest()}")
            size, digest = ingest.offset, ingest.commit()
        kept = estargz.without(layer.get("annotations") or {})
        changed = {"digest": digest, "size": size}
        return changed | ({"annotations": kept} if kept else {}), diff_id

    def _add(self, document: dict[str, Any]) -> str:
        return content.add(self._store, oci_image.encode(document))


def _point(entry: dict[str, Any], replaced: dict[str, str]) -> dict[str, Any]:
    """An attestation names its image by digest: by the new one from now on."""
    annotations = entry.get("annotations") or {}
    old = annotations.get("vnd.docker.reference.digest")
    if old not in replaced:
        return entry
    copied: dict[str, Any] = json.loads(json.dumps(entry))
    copied["annotations"]["vnd.docker.reference.digest"] = replaced[old]
    return copied
