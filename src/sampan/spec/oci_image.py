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

DOCKER_LAYER_PLAIN = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"
REF_NAME = "org.opencontainers.image.ref.name"
EMPTY = "application/vnd.oci.empty.v1+json"
EMPTY_DESCRIPTOR = {  # descriptor.md, "Guidance for an Empty Descriptor"
    "mediaType": EMPTY,
    "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    "size": 2,
    "data": "e30=",
}

MANIFESTS = (MANIFEST, DOCKER_MANIFEST)
INDEXES = (INDEX, DOCKER_LIST)
CONFIGS = (CONFIG, DOCKER_CONFIG)
LARGEST_DOCUMENT = 8 << 20  # bytes; registries take manifests up to 4 MiB


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


_SYSTEMS = {  # GOOS and, below, GOARCH of Go's distribution
    *("aix", "android", "darwin", "dragonfly", "freebsd", "hurd", "illumos", "ios", "js", "linux"),
    *("nacl", "netbsd", "openbsd", "plan9", "solaris", "windows", "zos"),
}
_ARCHITECTURES = {
    *("386", "amd64", "amd64p32", "arm", "armbe", "arm64", "arm64be", "loong64", "mips", "mipsle"),
    *("mips64", "mips64le", "mips64p32", "mips64p32le", "ppc", "ppc64", "ppc64le", "riscv"),
    *("riscv64", "s390", "s390x", "sparc", "sparc64", "wasm"),
}
_OTHER_SYSTEMS = {"macos": "darwin"}
_OTHER_NAMES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386"}


def architecture(name: str) -> str:
    """As Go calls it: what `uname` says is met in indexes, too."""
    return _OTHER_NAMES.get(name, name)


def parse_platform(text: str) -> Platform:
    """`linux/arm64/v8`, or a system or an architecture alone. Raises InvalidArgument."""
    parts = [_OTHER_SYSTEMS.get(part, part) for part in text.lower().split("/")]
    if len(parts) == 1:
        if parts[0] in _SYSTEMS:
            parts.append(host_platform().architecture)
        elif _OTHER_NAMES.get(parts[0], parts[0]) in _ARCHITECTURES:
            parts.insert(0, "linux")
        else:
            raise errors.InvalidArgument(
                f'"{text}": unknown operating system or architecture: invalid argument'
            )
    if len(parts) > 3 or not all(parts):
        raise errors.InvalidArgument(f"{text!r} is no platform: write os/architecture[/variant]")
    return Platform(os=parts[0], architecture=architecture(parts[1]), variant="".join(parts[2:]))


def normal(platform: Platform) -> Platform:
    """The one name that a build has for it, as containerd's: arm is arm/v7, arm64/v8 is arm64."""
    implied = _IMPLIED.get(platform.architecture, "")
    variant = platform.variant
    if variant.isdecimal():
        variant = f"v{variant}"
    if platform.architecture == "arm":
        variant = variant or implied
    elif variant == implied:
        variant = ""
    return platform.replace(variant=variant)


def digest_of(data: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def encode(document: dict[str, Any] | list[Any]) -> bytes:
    """A document of our own, deterministic."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def descriptor(media_type: str, data: bytes, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


class BadDocument(errors.InvalidArgument):
    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what or 'the document'} {why}")


def decode(data: bytes, what: str = "") -> dict[str, Any]:
    """A JSON object, strictly (considerations.md: I-JSON): UTF-8, no name twice. BadDocument.

    Two parsers that disagree about a repeated name would see two different images.
    """
    if len(data) > LARGEST_DOCUMENT:
        raise BadDocument(what, f"is too large: {len(data)} bytes")
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except RecursionError:
        raise BadDocument(what, "is nested too deeply") from None
    except ValueError as error:
        raise BadDocument(what, f"is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadDocument(what, "is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} stands in it twice")
    return found


def media_type(document: dict[str, Any], described: dict[str, Any] | None = None) -> str:
    """What a manifest or index says it is, or its descriptor does, or its properties show.

    Raises BadDocument where it says one thing and has the properties of another, so that nobody
    takes an index for a manifest (media-types.md; CVE-2021-41190).
    """
    said = str(document.get("mediaType") or (described or {}).get("mediaType") or "")
    if said in INDEXES and ("config" in document or "layers" in document):
        raise BadDocument("the index", "has config or layers, as only manifests have")
    if said in MANIFESTS and "manifests" in document:
        raise BadDocument("the manifest", "has manifests, as only indexes have")
    if not said and "manifests" in document and ("config" in document or "layers" in document):
        raise BadDocument("the document", "is a manifest and an index at once")
    if said:
        return said
    return INDEX if "manifests" in document else MANIFEST


def entries(index: dict[str, Any]) -> list[dict[str, Any]]:
    """An index's descriptors; there may be none. Raises BadDocument."""
    found = index.get("manifests") or []
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise BadDocument("the index's manifests", "are no list of descriptors")
    return found


def attests(entry: dict[str, Any]) -> str:
    """The digest of the image that an index's entry only says something about (BuildKit's)."""
    annotations = entry.get("annotations") or {}
    if annotations.get("vnd.docker.reference.type") == "attestation-manifest":
        return str(annotations.get("vnd.docker.reference.digest") or "unknown")
    platform = entry.get("platform") or {}
    return "unknown" if platform.get("os") == "unknown" else ""


def choose(index: dict[str, Any], wanted: Platform) -> dict[str, Any]:
    """The entry that suits `wanted` best, the first of equals.

    An attestation (`unknown/unknown`) is never one. Raises NoMatchingPlatform.
    """
    images = [entry for entry in entries(index) if not attests(entry)]
    for variant in _variants(wanted):
        for entry in images:
            if _suits(entry.get("platform") or {}, wanted, variant):
                return entry
    known = [entry for entry in images if entry.get("mediaType", MANIFEST) in MANIFESTS]
    if known and not any(entry.get("platform") for entry in images):
        return known[0]
    raise NoMatchingPlatform(wanted)


_IMPLIED = {"arm64": "v8", "arm": "v7", "amd64": "v1"}
_LEVELS = {"arm": 5, "arm64": 8, "amd64": 1}  # variants that run what is built for lower ones


def _variants(wanted: Platform) -> list[str | None]:
    """What runs on the wanted variant, best first; None is any, where none was asked for."""
    best = wanted.variant or _IMPLIED.get(wanted.architecture, "")
    found: list[str | None] = [best]
    lowest = _LEVELS.get(wanted.architecture)
    if lowest is not None and best[:1] == "v" and best[1:].isdecimal():
        found += [f"v{number}" for number in range(int(best[1:]) - 1, lowest - 1, -1)]
    return found if wanted.variant else [*found, None]


def _suits(platform: dict[str, Any], wanted: Platform, variant: str | None) -> bool:
    if (platform.get("os"), platform.get("architecture")) != (wanted.os, wanted.architecture):
        return False
    if platform.get("os.features"):
        return False  # "mandatory": none is known that this host could have
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
