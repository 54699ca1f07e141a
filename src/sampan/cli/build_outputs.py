"""`sampan build --output`: what becomes of the image beside being one.

The engine makes all of it: an image, its push, archives, trees. What is for this machine waits
there under a token, and is fetched and put where `dest` says.
"""

from __future__ import annotations

import os

from sampan.build import output_options, provenance
from sampan.cli import output
from sampan.cli.parse import csv
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sampan.cli.options import Arguments
    from sampan.cli.session import Session

_FILES, _ARCHIVES = ("local", "tar"), ("oci", "docker")
_DEFAULT = "mode=min,inline-only=true"  # as docker buildx asks for provenance


class Output(Record):
    type: str
    attrs: dict[str, str]  # the engine's part
    dest: str = ""
    unpacked: bool = False  # a directory, not a file

    @property
    def comes(self) -> bool:
        """Whether this machine gets something."""
        return self.type in (*_FILES, *_ARCHIVES) and bool(self.dest)


def parse(text: str) -> Output:
    """`type=TYPE[,dest=PATH][,KEY=VALUE…]`, or a directory, or - for a tar on stdout."""
    if text == "-":
        return Output(type="tar", attrs={}, dest="-")
    if "=" not in text:
        return Output(type="local", attrs={}, dest=text, unpacked=True)
    try:
        fields = dict(csv.pairs(text))
    except ValueError as error:
        raise errors.InvalidArgument(f"--output {text}: {error}") from None
    kind, dest = fields.pop("type", ""), fields.pop("dest", "")
    if kind not in output_options.TYPES:
        known = ", ".join(output_options.TYPES)
        raise errors.InvalidArgument(f"--output {text}: the type is one of {known}")
    if not dest and kind in _FILES:
        raise errors.InvalidArgument(f"--output {text}: a dest is wanted")
    if dest and kind not in (*_FILES, *_ARCHIVES):
        raise errors.InvalidArgument(f"--output {text}: unexpected key 'dest'")
    unpacked = kind == "local" or fields.pop("tar", "true") == "false"
    return Output(type=kind, attrs=fields, dest=dest, unpacked=unpacked)


def wanted(args: Arguments) -> list[Output]:
    """All that the words ask for. Raises what is wrong with any of them."""
    found = [parse(text) for text in args["output"]]
    if args["push"]:
        found.append(Output(type="registry", attrs={}))
    notes: dict[str, str] = {}
    for text in args["annotation"]:
        notes |= output_options.annotation(text)
    if notes and not any(one.type not in _FILES for one in found):
        found.append(Output(type="image", attrs={}))
    images = [one.type not in _FILES for one in found]
    found = [
        one.replace(attrs={**one.attrs, **notes}) if image else one
        for one, image in zip(found, images, strict=True)
    ]
    for one in found:
        output_options.parse(one.type, one.attrs, args["tag"])
    return found


def told(outputs: Sequence[Output]) -> list[dict[str, Any]]:
    """As the engine is told; what is asked for without a `dest` is the engine's own image."""
    return [
        {"Type": one.type, "Attrs": one.attrs}
        for one in outputs
        if one.comes or one.type not in (*_FILES, *_ARCHIVES)
    ]


def attested(args: Arguments, outputs: Sequence[Output]) -> str | None:
    """What `--provenance` and `--attest` ask for; else what docker buildx asks for by default."""
    kinds: dict[str, str] = {}
    for text in args["attest"]:
        kind, rest = _attest(text)
        kinds[kind] = rest
    if text := args["provenance"]:
        kinds["provenance"] = text
    if text := args["sbom"]:
        kinds["sbom"] = {"true": "", "false": "disabled=true"}.get(text, text)
    provenance.attests(kinds)
    if "provenance" in kinds:
        return kinds["provenance"] or "mode=max"
    return _DEFAULT if outputs else None


def _attest(text: str) -> tuple[str, str]:
    parts = text.split(",")
    kind = next((part.partition("=")[2] for part in parts if part.startswith("type=")), "")
    if not kind:
        raise errors.InvalidArgument(f"--attest {text}: type=provenance is wanted")
    return kind, ",".join(part for part in parts if not part.startswith("type="))


def deliver(session: Session, outputs: Sequence[Output], token: str) -> None:
    coming = [one for one in outputs if one.comes]
    if not coming:
        return
    path = f"/sampan/build/outputs/{token}"
    try:
        for number, one in enumerate(coming):
            response = session.client.stream("GET", path, {"number": number})
            if one.unpacked:
                layout = "/blobs/sha256" if one.type in _ARCHIVES else ""
                os.makedirs(one.dest + layout, exist_ok=True)  # an archive names files alone
                _unpacked(response, one.dest)
            else:
                output.save(response, "" if one.dest == "-" else one.dest)
    finally:
        session.client.call("DELETE", path)


def _unpacked(response: Any, directory: str) -> None:
    import tarfile

    from sampan.cli import unpacking

    reader: Any = unpacking.Reader(response)
    with tarfile.open(fileobj=reader, mode="r|") as tar:
        unpacking.unpack(tar, directory, unpacking.WHOLE, keep_owners=False)


def metadata(told: dict[str, Any]) -> dict[str, Any]:
    """As buildx writes it."""
    import binascii
    import json

    found = dict(told)
    if text := found.get("containerimage.descriptor"):
        found["containerimage.descriptor"] = json.loads(binascii.a2b_base64(text))
    return found
