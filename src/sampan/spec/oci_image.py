"""OCI image-spec 1.1: media types, descriptors, manifests, platforms, layer identities.

Documents stay the dictionaries that JSON gives, because stored bytes are never rewritten and
unknown properties must survive; the functions here read them. Digests are of the stored bytes.
"""

from __future__ import annotations

import hashlib
import json

from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, NewType

    Digest = NewType("Digest", str)  # of stored bytes
    DiffId = NewType("DiffId", str)  # of an uncompressed layer tar
    ChainId = NewType("ChainId", str)  # of a stack of layers
else:
    Digest = DiffId = ChainId = str

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = LAYER + "+gzip"
LAYER_ZSTD = LAYER + "+zstd"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

MANIFESTS = (MANIFEST, DOCKER_MANIFEST)
INDEXES = (INDEX, DOCKER_LIST)


class Platform(Record):
    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


class NoMatchingPlatform(errors.NotFound):
    def __init__(self, wanted: Platform) -> None:
        super().__init__(f"no matching manifest for {wanted} in the manifest list entries")
        self.wanted = wanted


_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}


def host_platform() -> Platform:
    import os

    machine = os.uname().machine
    return Platform(os="linux", architecture=_MACHINES.get(machine, machine))


def parse_platform(text: str) -> Platform:
    """`linux/arm64/v8`, or an architecture alone. Raises InvalidArgument."""
    parts = text.lower().split("/")
    if len(parts) == 1:
        parts = (
            ["linux", *parts]
            if parts[0] not in ("linux", "windows")
            else [parts[0], host_platform().architecture]
        )
    if len(parts) > 3 or not all(parts):
        raise errors.InvalidArgument(f"{text!r} is no platform: write os/architecture[/variant]")
    architecture = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}.get(
        parts[1], parts[1]
    )
    return Platform(os=parts[0], architecture=architecture, variant="".join(parts[2:]))


def digest_of(data: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def encode(document: dict[str, Any]) -> bytes:
    """A document of our own, deterministic."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def descriptor(media_type: str, data: bytes, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


def media_type(document: dict[str, Any]) -> str:
    """What a manifest or index says it is, or what its properties show (manifest.md)."""
    said = document.get("mediaType")
    if said:
        return str(said)
    return INDEX if "manifests" in document else MANIFEST


def choose(index: dict[str, Any], wanted: Platform) -> dict[str, Any]:
    """The entry that suits `wanted` best, the first of equals.

    An attestation (`unknown/unknown`) is never one. Raises NoMatchingPlatform.
    """
    entries = index.get("manifests") or []
    for variant in _variants(wanted):
        for entry in entries:
            if _suits(entry.get("platform") or {}, wanted, variant):
                found: dict[str, Any] = entry
                return found
    unnamed = [entry for entry in entries if not entry.get("platform")]
    if unnamed and len(unnamed) == len(entries):
        first: dict[str, Any] = unnamed[0]
        return first
    raise NoMatchingPlatform(wanted)


_IMPLIED = {"arm64": "v8", "arm": "v7"}


def _variants(wanted: Platform) -> list[str | None]:
    """What runs on the wanted variant, best first; None is any, where none was asked for."""
    best = wanted.variant or _IMPLIED.get(wanted.architecture, "")
    found: list[str | None] = [best]
    if wanted.architecture == "arm" and best in ("v6", "v7", "v8"):
        found += [f"v{number}" for number in range(int(best[1]) - 1, 4, -1)]
    return found if wanted.variant else [*found, None]


def _suits(platform: dict[str, Any], wanted: Platform, variant: str | None) -> bool:
    if (platform.get("os"), platform.get("architecture")) != (wanted.os, wanted.architecture):
        return False
    has = str(platform.get("variant") or _IMPLIED.get(wanted.architecture, ""))
    return variant is None or has == variant


def chain_ids(diff_ids: Iterable[str]) -> list[ChainId]:
    """The identity of each prefix of a stack of layers, base first (config.md)."""
    chain: list[ChainId] = []
    for diff_id in diff_ids:
        if not chain:
            chain.append(ChainId(diff_id))
        else:
            chain.append(ChainId(digest_of(f"{chain[-1]} {diff_id}".encode())))
    return chain


def layers_of(manifest: dict[str, Any], config: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """(layer descriptor, diff_id), base first. Raises InvalidArgument where they do not pair."""
    rootfs = config.get("rootfs") or {}
    if rootfs.get("type", "layers") != "layers":
        raise errors.InvalidArgument(f"image config: rootfs.type {rootfs['type']!r} is not layers")
    layers: Sequence[dict[str, Any]] = manifest.get("layers") or []
    diff_ids: Sequence[str] = rootfs.get("diff_ids") or []
    if len(layers) != len(diff_ids):
        raise errors.InvalidArgument(
            f"image manifest has {len(layers)} layers, its config {len(diff_ids)} diff_ids"
        )
    return list(zip(layers, diff_ids, strict=True))
