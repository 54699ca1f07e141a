"""What a manifest says that a registry must know: its type, what it needs, whom it is about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sampan.kit.record import Record
from sampan.registry.server import digests, errors

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 16 << 20  # bytes; the specification asks for at least 4 MiB
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_ELSEWHERE = ("nondistributable", ".foreign.")  # layers that need not be here


class Manifest(Record):
    media_type: str
    subject: str | None
    artifact_type: str | None
    annotations: str | None  # JSON
    needs: tuple[str, ...]  # digests that must not be collected
    required: tuple[str, ...]  # and those that must be there


def parse(data: bytes, content_type: str) -> Manifest:
    """Raises MANIFEST_INVALID naming what is wrong."""
    try:
        document = json.loads(data)
    except ValueError as error:
        raise errors.manifest_invalid(f"the manifest is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise errors.manifest_invalid("the manifest is no JSON object")
    said = document.get("mediaType")
    media_type = content_type.partition(";")[0].strip() or said or ""
    if said and media_type != said:
        raise errors.manifest_invalid(f"mediaType is {said}, Content-Type {media_type}")
    if document.get("schemaVersion") not in (None, 2):
        raise errors.manifest_invalid("only manifests of schemaVersion 2 are stored")
    config = document.get("config") or {}
    subject = _digest(document.get("subject"), "subject")
    parts = list(_parts(document))
    index = media_type in _INDEXES or "manifests" in document
    return Manifest(
        media_type=media_type or "application/octet-stream",
        subject=subject,
        artifact_type=document.get("artifactType") or config.get("mediaType"),
        annotations=json.dumps(document["annotations"]) if document.get("annotations") else None,
        needs=tuple(digest for digest, _ in parts),
        required=() if index else tuple(digest for digest, here in parts if here),
    )


def _parts(document: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """(digest, whether it has to be in the repository) of config, layers, blobs, manifests."""
    config = _digest(document.get("config"), "config")
    if config:
        yield config, True
    for name in ("layers", "blobs", "manifests"):
        entries = document.get(name) or []
        if not isinstance(entries, list):
            raise errors.manifest_invalid(f"{name} must be a list")
        for position, entry in enumerate(entries):
            digest = _digest(entry, f"{name}[{position}]")
            if digest:
                kind = str(entry.get("mediaType") or "")
                yield digest, not any(word in kind for word in _ELSEWHERE)


def _digest(descriptor: Any, where: str) -> str | None:
    if descriptor is None:
        return None
    if not isinstance(descriptor, dict) or not isinstance(descriptor.get("digest"), str):
        raise errors.manifest_invalid(f"{where} has no digest")
    try:
        return digests.check(descriptor["digest"])
    except errors.RegistryError as error:
        raise errors.manifest_invalid(f"{where}: {error}") from None
