"""`--output` and `--annotation`: what becomes of a result, in BuildKit's words.

    parse("image", {"name": "app:1,app:2", "push": "true", "compression": "zstd"})

Source: docs of `docker buildx build`, moby/buildkit docs/annotations.md, README ("Output").
"""

from __future__ import annotations

import re

from sampan.kit import errors
from sampan.kit.record import Record
from sampan.spec import oci_image, reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

COMPRESSIONS = ("gzip", "zstd", "estargz", "uncompressed")
LEVELS = ("manifest", "index", "manifest-descriptor", "index-descriptor")
_IMAGES = ("image", "registry", "moby", "oci", "docker")
_FILES = ("local", "tar")
TYPES = (*_IMAGES, *_FILES, "cacheonly")
# "load" is what compose says to moby and docker, where it is no news.
_COMMON = ("name", "compression", "compression-level", "force-compression", "oci-mediatypes",
           "oci-artifact", "rewrite-timestamp", "attestation-inline", "source-date-epoch",
           "prefer-nondist-layers", "load")  # fmt: skip
_KNOWN = {
    "image": (*_COMMON, "push", "push-by-digest", "name-canonical", "store", "unpack",
              "dangling-name-prefix", "registry.insecure"),
    "oci": (*_COMMON, "dest", "tar"),
    "local": ("dest", "platform-split", "mode", "attestation-prefix", "source-date-epoch"),
}  # fmt: skip
_ANNOTATION = re.compile(r"annotation(?:-([a-z-]+))?(?:\[([^\]]+)\])?\.(.+)", re.DOTALL)


class Annotation(Record):
    level: str
    platform: str  # "": of all
    key: str
    value: str


class Output(Record):
    type: str
    names: tuple[str, ...] = ()  # full
    dest: str = ""
    push: bool = False
    by_digest: bool = False
    canonical: bool = False  # also as NAME@DIGEST
    tar: bool = True  # oci: else a directory
    split: bool | None = None  # local, tar: a directory for each platform; None: if several
    compression: str = ""  # "": as the layers are
    level: int | None = None
    force: bool = False  # the base's layers, too
    oci: bool = True  # else Docker's media types
    artifact: bool = True  # attestations are OCI artifacts, and so referrers of their image
    attests_inline: bool | None = None
    annotations: tuple[Annotation, ...] = ()

    @property
    def is_image(self) -> bool:
        return self.type in _IMAGES


def parse(kind: str, attrs: Mapping[str, str], tags: Sequence[str] = ()) -> Output:
    """`tags` are the names of what has no `name`. Raises InvalidArgument, Unsupported."""
    if kind not in TYPES:
        raise errors.InvalidArgument(f"--output: the type is one of {', '.join(TYPES)}")
    annotations, rest = _annotations(attrs)
    _check(kind, rest)
    oci = _truth(rest, "oci-mediatypes", default=True)
    if annotations and not oci and any(one.level != "manifest" for one in annotations):
        raise errors.InvalidArgument("--annotation: only manifests have them with Docker's types")
    compression = rest.get("compression", "")
    if compression and compression not in COMPRESSIONS:
        raise errors.InvalidArgument(
            f"--output: compression={compression}: one of {', '.join(COMPRESSIONS)} is wanted"
        )
    given = rest["name"].split(",") if rest.get("name") else tags if kind in _IMAGES else ()
    names = tuple(str(reference.parse(one)) for one in given if one)
    by_digest = _truth(rest, "push-by-digest")
    push = _truth(rest, "push", default=kind == "registry") or by_digest
    if push and not names:
        raise errors.InvalidArgument("--push: the image has no name: give --tag")
    return Output(
        type=kind,
        names=names,
        dest=rest.get("dest", ""),
        push=push,
        by_digest=by_digest,
        canonical=_truth(rest, "name-canonical"),
        tar=_truth(rest, "tar", default=True),
        split=_truth(rest, "platform-split") if rest.get("platform-split") else None,
        compression=compression,
        level=_number(rest, "compression-level"),
        force=_truth(rest, "force-compression"),
        oci=oci,
        artifact=_truth(rest, "oci-artifact", default=True),
        attests_inline=(
            _truth(rest, "attestation-inline") if rest.get("attestation-inline") else None
        ),
        annotations=annotations,
    )


def _check(kind: str, attrs: Mapping[str, str]) -> None:
    form = kind if kind in _KNOWN else {"docker": "oci", "tar": "local"}.get(kind, "image")
    for name in attrs:
        if name not in _KNOWN[form]:
            raise errors.InvalidArgument(f"--output type={kind}: unexpected key '{name}'")
    if _truth(attrs, "registry.insecure"):
        raise errors.Unsupported(
            "--output: registry.insecure is not supported: the registry's hosts.toml says so"
        )
    # Layers of ours never are younger than SOURCE_DATE_EPOCH, with or without rewrite-timestamp.
    _truth(attrs, "rewrite-timestamp")


def _truth(attrs: Mapping[str, str], name: str, default: bool = False) -> bool:
    text = attrs.get(name, "").lower()
    if text not in ("", "1", "t", "true", "0", "f", "false"):
        raise errors.InvalidArgument(f"--output: {name}={text}: true or false is wanted")
    return text in ("1", "t", "true") if text else default


def _number(attrs: Mapping[str, str], name: str) -> int | None:
    text = attrs.get(name, "")
    if text and not text.isdecimal():
        raise errors.InvalidArgument(f"--output: {name}={text}: no number")
    return int(text) if text else None


def _annotations(attrs: Mapping[str, str]) -> tuple[tuple[Annotation, ...], dict[str, str]]:
    found, rest = [], {}
    for name, value in attrs.items():
        match = _ANNOTATION.fullmatch(name)
        if match is None:
            rest[name] = value
            continue
        level, platform, key = match[1] or "manifest", match[2] or "", match[3]
        if level not in LEVELS:
            raise errors.InvalidArgument(f"--annotation: {level!r} is none of {', '.join(LEVELS)}")
        if platform:
            platform = str(oci_image.parse_platform(platform))
        found.append(Annotation(level=level, platform=platform, key=key, value=value))
    return tuple(found), rest


def annotation(text: str) -> dict[str, str]:
    """`--annotation [LEVEL[PLATFORM],…:]KEY=VALUE` as an output's attributes."""
    head, equals, value = text.partition("=")
    levels, colon, key = head.partition(":")
    names = levels.split(",") if colon else []
    if not names or not all(name.partition("[")[0] in LEVELS for name in names):
        names, key = [], head  # a colon may stand in a key, too
    if not key or not equals:
        raise errors.InvalidArgument(f"--annotation {text}: [LEVEL:]KEY=VALUE is wanted")
    found = {}
    for name in names or ["manifest"]:
        level, bracket, platform = name.partition("[")
        found[f"annotation-{level}{bracket}{platform}.{key}"] = value
    return found


def of_level(annotations: Sequence[Annotation], level: str, platform: str = "") -> dict[str, str]:
    """Those of one place; a platform's own win."""
    wide = {one.key: one.value for one in annotations if one.level == level and not one.platform}
    own = {
        one.key: one.value
        for one in annotations
        if one.level == level and one.platform and one.platform == platform
    }
    return wide | own
