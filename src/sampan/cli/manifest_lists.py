"""Manifest lists in the making, `sampan manifest`: files shared with docker's own program.

Below `~/.docker/manifests` a list is a directory, and each of its images a file in it: JSON with
the image's reference, its descriptor with the platform, and the manifest (`Raw` in base64, and
decoded). Nothing here speaks to a registry (`manifest_registry` does) or to the engine.
"""

from __future__ import annotations

import base64
import json
import os
import shutil

from sampan.kit import atomic, errors
from sampan.spec import oci_image, reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Entry = dict[str, Any]  # one file's document

_ARCHITECTURES = {  # those Go builds for, by operating system
    "aix": "ppc64",
    "android": "386 amd64 arm arm64",
    "darwin": "amd64 arm64",
    "dragonfly": "amd64",
    "freebsd": "386 amd64 arm arm64 riscv64",
    "illumos": "amd64",
    "js": "wasm",
    "linux": "386 amd64 arm arm64 loong64 mips mips64 mips64le mipsle ppc64 ppc64le riscv64 s390x",
    "netbsd": "386 amd64 arm arm64",
    "openbsd": "386 amd64 arm arm64 ppc64 riscv64",
    "plan9": "386 amd64 arm",
    "solaris": "amd64",
    "wasip1": "wasm",
    "windows": "386 amd64 arm arm64",
}


class NoSuchManifest(errors.NotFound):
    def __init__(self, name: object) -> None:
        super().__init__(f"No such manifest: {name}")


class Store:
    """`directory`: that of config.json."""

    def __init__(self, directory: str) -> None:
        self._top = os.path.join(directory, "manifests")

    def get(self, list_: reference.Reference, image: reference.Reference) -> Entry:
        """Raises NoSuchManifest."""
        return self._read(os.path.join(self._of(list_), _file(image)), image)

    def has(self, list_: reference.Reference) -> bool:
        return os.path.isdir(self._of(list_))

    def list(self, list_: reference.Reference) -> list[Entry]:
        """Its images, by name. Raises NoSuchManifest where there is no such list."""
        directory = self._of(list_)
        try:
            names = sorted(os.listdir(directory))
        except FileNotFoundError:
            raise NoSuchManifest(list_) from None
        if not names:
            raise NoSuchManifest(list_)
        return [self._read(os.path.join(directory, name), list_) for name in names]

    def save(self, list_: reference.Reference, image: reference.Reference, entry: Entry) -> None:
        directory = self._of(list_)
        os.makedirs(directory, exist_ok=True)
        data = json.dumps(entry, separators=(",", ":")).encode()
        atomic.write(os.path.join(directory, _file(image)), data, mode=0o644)

    def remove(self, list_: reference.Reference) -> None:
        self.list(list_)
        shutil.rmtree(self._of(list_))

    def _of(self, list_: reference.Reference) -> str:
        return os.path.join(self._top, _file(list_))

    def _read(self, path: str, name: object) -> Entry:
        try:
            with open(path, "rb") as file:
                entry = json.load(file)
            descriptor = entry["Descriptor"]
            reference.parse(entry["Ref"])
            if not reference.valid_digest(descriptor["digest"]):
                raise ValueError(f"{descriptor['digest']!r} is no digest")
        except FileNotFoundError:
            raise NoSuchManifest(name) from None
        except (ValueError, KeyError, TypeError, errors.InvalidArgument) as error:
            raise errors.InvalidArgument(f"{path} is no manifest's file: {error}") from error
        return dict(entry)


def _file(name: reference.Reference) -> str:
    return str(name).replace(":", "-").replace("/", "_")


def entry(name: reference.Reference, media_type: str, data: bytes, config: dict[str, Any]) -> Entry:
    """A file's document, from a manifest's bytes and the image config."""
    kind = "OCIManifest" if media_type == oci_image.MANIFEST else "SchemaV2Manifest"
    return {
        "Ref": str(name),
        "Descriptor": oci_image.descriptor(media_type, data, platform=platform(config)),
        "Raw": base64.b64encode(data).decode(),
        kind: json.loads(data),
    }


def raw(found: Entry) -> bytes:
    """The manifest's own bytes. Raises InvalidArgument where they are not what they were."""
    data = base64.b64decode(found.get("Raw") or "")
    if oci_image.digest_of(data) != found["Descriptor"]["digest"]:
        raise errors.InvalidArgument(
            f"the file of {found['Ref']} does not hold the manifest that it names; remove the list"
            " and create it again"
        )
    return data


def manifest(found: Entry) -> dict[str, Any]:
    return dict(found.get("OCIManifest") or found.get("SchemaV2Manifest") or json.loads(raw(found)))


def platform(described: dict[str, Any]) -> dict[str, Any]:
    """The words of a platform that an image config or an index's entry has."""
    words = ("architecture", "os", "os.version", "os.features", "variant")
    always = {"architecture": "", "os": ""}
    return {**always, **{word: described[word] for word in words if described.get(word)}}


def annotate(found: Entry, given: dict[str, Any]) -> None:
    """Say what an image is for; `os.features` are added. Raises InvalidArgument."""
    features = list((found["Descriptor"].get("platform") or {}).get("os.features") or ())
    features += [word for word in given.pop("os.features", ()) if word not in features]
    told = {**(found["Descriptor"].get("platform") or {}), **given, "os.features": features}
    if told.get("architecture") not in _ARCHITECTURES.get(told.get("os") or "", "").split():
        raise errors.InvalidArgument(
            "manifest entry for image has unsupported os/arch combination: "
            f"{told.get('os') or ''}/{told.get('architecture') or ''}"
        )
    found["Descriptor"]["platform"] = platform(told)


def document(target: reference.Reference, found: Sequence[Entry]) -> tuple[str, bytes]:
    """(media type, bytes) of the list, as it is shown and pushed. Raises InvalidArgument."""
    descriptors = [_described(target, item) for item in found]
    kinds = {item["mediaType"] for item in descriptors}
    media_type = oci_image.INDEX if kinds <= {oci_image.MANIFEST} else oci_image.DOCKER_LIST
    told = {"schemaVersion": 2, "mediaType": media_type, "manifests": descriptors}
    return media_type, json.dumps(told, indent=3).encode()


def _described(target: reference.Reference, found: Entry) -> dict[str, Any]:
    domain = reference.parse(found["Ref"]).domain
    if domain != target.domain:
        raise errors.InvalidArgument(
            "cannot use source images from a different registry than the target image: "
            f"{domain} != {target.domain}"
        )
    described = found["Descriptor"]
    told = {name: described[name] for name in ("mediaType", "size", "digest")}
    return {**told, "platform": platform(described.get("platform") or {})}


def must_run_somewhere(found: Sequence[Entry]) -> None:
    """A list may be pushed when each of its images has a platform."""
    for item in found:
        where = item["Descriptor"].get("platform") or {}
        if not (where.get("os") and where.get("architecture")):
            raise errors.InvalidArgument(
                f"manifest {item['Ref']} must have an OS and Architecture to be pushed to a"
                " registry"
            )
