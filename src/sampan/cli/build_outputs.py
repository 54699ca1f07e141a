"""`sampan build --output`: what becomes of the image beside being one."""

from __future__ import annotations

import os
import sys

from sampan.cli import config_file, output, progress
from sampan.cli.parse import csv
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sampan.cli.session import Session

TYPES = ("local", "tar", "oci", "docker", "image", "registry")
_FILES, _ARCHIVES = ("local", "tar"), ("oci", "docker")


class Output(Record):
    type: str
    dest: str = ""
    names: tuple[str, ...] = ()
    push: bool = False


def parse(text: str) -> Output:
    """`type=TYPE[,dest=PATH][,name=NAME][,push=true]`, or a directory, or - for a tar on stdout."""
    if text == "-":
        return Output(type="tar", dest="-")
    if "=" not in text:
        return Output(type="local", dest=text)
    try:
        fields = dict(csv.pairs(text))
    except ValueError as error:
        raise errors.InvalidArgument(f"--output {text}: {error}") from None
    kind = fields.pop("type", "")
    if kind not in TYPES:
        raise errors.InvalidArgument(f"--output {text}: the type is one of {', '.join(TYPES)}")
    name, dest = fields.pop("name", ""), fields.pop("dest", "")
    push = fields.pop("push", "false") == "true" or kind == "registry"
    if fields:
        raise errors.InvalidArgument(f"--output {text}: unexpected key '{next(iter(fields))}'")
    if not dest and kind in _FILES:
        raise errors.InvalidArgument(f"--output {text}: a dest is wanted")
    names = tuple(part for part in name.split(",") if part)
    return Output(type=kind, dest=dest, names=names, push=push)


def names(outputs: Sequence[Output], tags: Sequence[str]) -> list[str]:
    """All that the image is to be called."""
    return [*dict.fromkeys([*tags, *(name for one in outputs for name in one.names)])]


def deliver(session: Session, outputs: Sequence[Output], image: str, tags: Sequence[str]) -> None:
    for one in outputs:
        if one.type in _FILES:
            path = f"/sampan/images/{image}/files"
            response = session.client.stream("GET", path)
            if one.type == "local":
                _unpacked(response, one.dest)
            else:
                output.save(response, "" if one.dest == "-" else one.dest)
        elif one.type in _ARCHIVES and one.dest:
            wanted = list(one.names or tags) or [image]
            response = session.client.stream("GET", "/images/get", {"names": wanted})
            output.save(response, "" if one.dest == "-" else one.dest)
        if one.push:
            _pushed(session, one.names or tuple(tags))


def _unpacked(response: Any, directory: str) -> None:
    import tarfile

    from sampan.cli import unpacking

    os.makedirs(directory, exist_ok=True)
    reader: Any = unpacking.Reader(response)
    with tarfile.open(fileobj=reader, mode="r|") as tar:
        unpacking.unpack(tar, directory, unpacking.WHOLE, keep_owners=False)


def _pushed(session: Session, tags: Sequence[str]) -> None:
    if not tags:
        raise errors.InvalidArgument("--push: the image has no name: give --tag")
    for name in tags:
        headers = config_file.registry_auth(session.config, name)
        repository, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            repository, tag = name, "latest"
        path = f"/images/{repository}/push"
        response = session.client.stream("POST", path, {"tag": tag}, None, headers)
        progress.show(session.client.messages(response), out=sys.stderr)


def metadata(session: Session, image: str, tags: Sequence[str]) -> dict[str, Any]:
    """As buildx writes it: `containerimage.*` and `image.name`."""
    found = session.client.call("GET", f"/images/{image}/json")
    known = found.get("Descriptor") or {}
    made: dict[str, Any] = {"containerimage.config.digest": image}
    if known.get("digest"):
        made["containerimage.descriptor"] = known
        made["containerimage.digest"] = known["digest"]
    if tags:
        made["image.name"] = ",".join(tags)
    return made
