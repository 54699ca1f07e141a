"""What is said about an image: in-toto statements, as BuildKit lays them beside it.

An attestation manifest has the statements as its layers. It is an artifact whose `subject` is the
image's manifest (so that a registry lists it among its referrers), and an index names it with the
platform unknown/unknown. Source: moby/buildkit docs/attestations/attestation-storage.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sampan.image import content
from sampan.kit.record import Record
from sampan.spec import oci_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.image.content import ContentStore

_ARTIFACT = "application/vnd.docker.attestation.manifest.v1+json"
_IN_TOTO = "application/vnd.in-toto+json"
_PREDICATE = "in-toto.io/predicate-type"
_UNKNOWN = {"architecture": "unknown", "os": "unknown"}
_STATEMENTS = {"https://slsa.dev/provenance/v0.2": "https://in-toto.io/Statement/v0.1"}


class Predicate(Record):
    """What one statement says; of what, `subjects` are told when it is written."""

    type: str
    content: dict[str, Any]
    filename: str = "provenance.json"


def statement(predicate: Predicate, subjects: Sequence[dict[str, Any]]) -> bytes:
    return oci_image.encode(
        {
            "_type": _STATEMENTS.get(predicate.type, "https://in-toto.io/Statement/v1"),
            "predicateType": predicate.type,
            "subject": [*subjects],
            "predicate": predicate.content,
        }
    )


def subject(name: str, digest: str) -> dict[str, Any]:
    algorithm, _, value = digest.partition(":")
    return {"name": name, "digest": {algorithm: value}}


def add(
    store: ContentStore, image: dict[str, Any], statements: Sequence[tuple[str, bytes]], *,
    artifact: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Write the manifest about an image; the descriptor for its index. (predicate type, JSON)"""
    layers = []
    for kind, data in statements:
        content.add(store, data)
        layers.append(oci_image.descriptor(_IN_TOTO, data, annotations={_PREDICATE: kind}))
    manifest: dict[str, Any] = {"schemaVersion": 2, "mediaType": oci_image.MANIFEST}
    if artifact:
        content.add(store, b"{}")
        manifest |= {"artifactType": _ARTIFACT, "config": oci_image.EMPTY_DESCRIPTOR}
    else:
        diff_ids = [layer["digest"] for layer in layers]
        config = oci_image.encode(
            {**_UNKNOWN, "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        )
        content.add(store, config)
        manifest["config"] = oci_image.descriptor(oci_image.CONFIG, config)
    manifest["layers"] = layers
    if artifact:
        manifest["subject"] = {key: image[key] for key in ("mediaType", "digest", "size")}
    data = oci_image.encode(manifest)
    content.add(store, data)
    notes = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image["digest"],
    }
    return oci_image.descriptor(oci_image.MANIFEST, data, annotations=notes, platform=_UNKNOWN)
