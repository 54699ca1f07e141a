"""`--cache-to` and `--cache-from`: where a build's cache goes, and where more of it comes from.

    parse_export("registry", {"ref": "r.example/app:cache", "mode": "max"})
    parse_import("local", {"src": "/tmp/cache"})

The words are BuildKit's (docs of `docker buildx build`); `mounts=true` is our own: the contents of
the `RUN --mount=type=cache` that the Dockerfile names travel, too.
"""

from __future__ import annotations

from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

COMPRESSIONS = ("gzip", "zstd", "uncompressed")
_ELSEWHERE = ("gha", "s3", "azblob")
_INSECURE = "registry.insecure"
_PASSED_OVER = ("force-compression",)  # all layers of a cache have its compression
_KNOWN = {
    "inline": ("mode",),
    "local": ("dest", "tag", "mode", "image-manifest", "oci-mediatypes", "compression",
              "compression-level", "ignore-error", "mounts", "reset", *_PASSED_OVER),
    "registry": ("ref", "mode", "image-manifest", "oci-mediatypes", "compression",
                 "compression-level", "ignore-error", "mounts", _INSECURE, *_PASSED_OVER),
}  # fmt: skip
_SOURCES = {"local": ("src", "digest", "tag"), "registry": ("ref", _INSECURE)}


class Export(Record):
    type: str  # inline, local, registry
    place: str = ""  # a directory, or an image's name
    every: bool = False  # mode=max: the steps of all stages, not only the result's
    image_manifest: bool = True  # else an index
    oci: bool = True  # else Docker's media types
    compression: str = ""  # "": as the layers are
    level: int | None = None
    ignore_error: bool = False
    mounts: bool = False
    tag: str = "latest"  # in a directory's index.json
    reset: bool = False  # a directory keeps nothing but this


class Import(Record):
    type: str  # local, registry
    place: str
    digest: str = ""  # of a directory's manifest
    tag: str = "latest"


def parse_export(kind: str, attrs: Mapping[str, str]) -> Export:
    """Raises InvalidArgument, Unsupported."""
    _check("--cache-to", kind, attrs, _KNOWN)
    oci = _truth("--cache-to", attrs, "oci-mediatypes", default=True)
    manifest = _truth("--cache-to", attrs, "image-manifest", default=oci)
    if manifest and not oci:
        raise errors.InvalidArgument("--cache-to: image-manifest=true needs oci-mediatypes=true")
    place = attrs.get("dest" if kind == "local" else "ref", "")
    if kind != "inline" and not place:
        wanted = "dest=DIRECTORY" if kind == "local" else "ref=NAME"
        raise errors.InvalidArgument(f"--cache-to type={kind}: {wanted} is wanted")
    mode = attrs.get("mode", "min")
    if mode not in ("min", "max"):
        raise errors.InvalidArgument(f"--cache-to: mode={mode}: min or max is wanted")
    return Export(
        type=kind,
        place=place,
        every=mode == "max",
        image_manifest=manifest,
        oci=oci,
        compression=_compression(attrs.get("compression", "")),
        level=_level(attrs.get("compression-level", "")),
        ignore_error=_truth("--cache-to", attrs, "ignore-error"),
        mounts=_truth("--cache-to", attrs, "mounts"),
        tag=attrs.get("tag") or "latest",
        reset=_truth("--cache-to", attrs, "reset"),
    )


def parse_import(kind: str, attrs: Mapping[str, str]) -> Import:
    """Raises InvalidArgument, Unsupported."""
    _check("--cache-from", kind, attrs, _SOURCES)
    place = attrs.get("src" if kind == "local" else "ref", "")
    if not place:
        wanted = "src=DIRECTORY" if kind == "local" else "ref=NAME"
        raise errors.InvalidArgument(f"--cache-from type={kind}: {wanted} is wanted")
    return Import(
        type=kind, place=place, digest=attrs.get("digest", ""), tag=attrs.get("tag") or "latest"
    )


def _check(
    option: str, kind: str, attrs: Mapping[str, str], known: Mapping[str, tuple[str, ...]]
) -> None:
    if kind in _ELSEWHERE:
        raise errors.Unsupported(f"{option} type={kind} is not supported: {', '.join(known)} are")
    if kind not in known:
        raise errors.InvalidArgument(f"{option}: the type {kind!r} is none of {', '.join(known)}")
    for name in attrs:
        if name not in known[kind]:
            raise errors.InvalidArgument(f"{option} type={kind}: unexpected key '{name}'")
    if _truth(option, attrs, _INSECURE):
        raise errors.Unsupported(
            f"{option}: {_INSECURE} is not supported: the registry's hosts.toml says so"
        )


def _truth(option: str, attrs: Mapping[str, str], name: str, default: bool = False) -> bool:
    text = attrs.get(name, "").lower()
    if text not in ("", "1", "t", "true", "0", "f", "false"):
        raise errors.InvalidArgument(f"{option}: {name}={text}: true or false is wanted")
    return text in ("1", "t", "true") if text else default


def _compression(text: str) -> str:
    if text == "estargz":
        raise errors.Unsupported(
            "--cache-to: compression=estargz makes other layers than the steps made; gzip or zstd"
        )
    if text and text not in COMPRESSIONS:
        raise errors.InvalidArgument(
            f"--cache-to: compression={text}: one of {', '.join(COMPRESSIONS)} is wanted"
        )
    return text


def _level(text: str) -> int | None:
    if text and not text.isdecimal():
        raise errors.InvalidArgument(f"--cache-to: compression-level={text}: no number")
    return int(text) if text else None
