"""Where `image copy` copies from and to: what the words mean, and what this side has to do.

The engine knows registries, its store and archives that stream. Files and directories are ours: a
directory with an OCI layout travels as the archive of its files.
"""

from __future__ import annotations

import os

from sampan.cli import config_file, output, progress
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sampan.cli.session import Session

_ARCHIVES = ("oci", "oci-archive", "docker-archive")


class Place(Record):
    kind: str  # of the engine: registry, store, archive
    name: str = ""
    path: str = ""  # of an archive; "-" is standard input or output
    directory: bool = False


def parse(text: str) -> Place:
    """Raises InvalidArgument."""
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "docker":
        return Place(kind="registry", name=rest.removeprefix("//"))
    if colon and scheme == "store":
        return Place(kind="store", name=rest)
    if colon and scheme in _ARCHIVES:
        path, _, name = rest.partition(":")
        if not path:
            raise errors.InvalidArgument(f"{text!r} names no file: write {scheme}:PATH[:NAME]")
        return Place(kind="archive", path=path, name=name, directory=scheme == "oci")
    return Place(kind="store", name=text)


def copy(
    session: Session, source: Place, target: Place, platform: str, *, quiet: bool = False
) -> None:
    query = {
        "from": source.kind,
        "source": source.name or None,
        "to": target.kind,
        "target": target.name or None,
        "platform": platform or None,
    }
    if target.kind == "archive" and target.path != "-":
        _check_target(target)
    body = _sent(source) if source.kind == "archive" else None
    headers = _credentials(session, source, target)
    response = session.client.stream("POST", "/sampan/images/copy", query, body, headers)
    if target.kind != "archive":
        messages = session.client.messages(response)
        progress.drain(messages) if quiet else progress.show(messages)
    elif target.directory:
        _unpack(iter(response), target.path)
    else:
        output.save(response, "" if target.path == "-" else target.path)


def _check_target(target: Place) -> None:
    if not target.directory:
        output.check(target.path, "save image")
    elif os.path.exists(target.path) and not os.path.isdir(target.path):
        raise errors.InvalidArgument(f"{target.path} is no directory")


def _credentials(session: Session, source: Place, target: Place) -> dict[str, str]:
    headers: dict[str, str] = {}
    if target.kind == "registry":
        found = config_file.registry_auth(session.config, target.name)
        headers["X-Registry-Auth-To"] = found["X-Registry-Auth"]
    if source.kind == "registry":
        headers |= config_file.registry_auth(session.config, source.name)
    return headers


def _sent(source: Place) -> Iterator[bytes]:
    if source.directory:
        return _packed(source.path)
    return _pieces("" if source.path == "-" else source.path)


def _pieces(path: str) -> Iterator[bytes]:
    with output.source(path) as pieces:
        yield from pieces


def _packed(directory: str) -> Iterator[bytes]:
    """A layout's directory as an archive: the documents first, then the blobs."""
    from sampan.image import tar

    if not os.path.exists(f"{directory}/index.json"):
        raise errors.NotFound(f"{directory} is no OCI layout: it has no index.json")
    waiting: list[bytes] = []
    writer = tar.Writer(waiting.append)
    for name in ("oci-layout", "index.json", *_blobs(directory)):
        with open(f"{directory}/{name}", "rb") as file:
            size = os.fstat(file.fileno()).st_size
            writer.begin(tar.Entry(name, size=size))
            yield from _drained(waiting)
            yield from iter(lambda file=file: file.read(output.PIECE), b"")  # type: ignore[misc]
            writer.pad(size)
    writer.finish()
    yield from _drained(waiting)


def _drained(waiting: list[bytes]) -> Iterator[bytes]:
    while waiting:
        yield waiting.pop(0)


def _blobs(directory: str) -> list[str]:
    found = []
    for above, _, names in os.walk(f"{directory}/blobs"):
        found += [os.path.relpath(f"{above}/{name}", directory) for name in names]
    return sorted(found)


def _unpack(stream: Iterator[bytes], directory: str) -> None:
    """An archive's layout into a directory; what a layout there has already, stays in its index."""
    import json

    from sampan.image import tar

    os.makedirs(f"{directory}/blobs", exist_ok=True)
    books: dict[str, Any] = {}
    source = tar.Source(stream)
    for entry in tar.read(source):
        if entry.name in ("index.json", "oci-layout"):
            books[entry.name] = json.loads(b"".join(map(bytes, source.pieces(entry.size))))
        elif entry.name.startswith("blobs/") and entry.kind == tar.REGULAR:
            _write_blob(source, entry, directory)
    source.drain()
    from sampan.kit import atomic

    index = _joined(f"{directory}/index.json", books["index.json"])
    for name, document in (("oci-layout", books["oci-layout"]), ("index.json", index)):
        atomic.write(f"{directory}/{name}", json.dumps(document).encode(), mode=0o644)


def _write_blob(source: Any, entry: Any, directory: str) -> None:
    """The engine is trusted, its names are not opened blindly all the same."""
    algorithm, _, encoded = entry.name.removeprefix("blobs/").partition("/")
    if not (algorithm.isalnum() and encoded.isalnum()):
        raise errors.InvalidArgument(f"the archive has a blob of the name {entry.name!r}")
    os.makedirs(f"{directory}/blobs/{algorithm}", exist_ok=True)
    path = f"{directory}/blobs/{algorithm}/{encoded}"
    fd = os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        source.copy_to(fd, entry.size)
    finally:
        os.close(fd)
    os.rename(f"{path}.new", path)


def _joined(path: str, index: dict[str, Any]) -> dict[str, Any]:
    """The new entries in place of old ones of the same name."""
    import json

    try:
        with open(path, "rb") as file:
            before: list[dict[str, Any]] = json.load(file).get("manifests") or []
    except FileNotFoundError:
        return index
    names = {_name(entry) for entry in index["manifests"]} - {""}
    digests = {entry["digest"] for entry in index["manifests"]}
    kept = [e for e in before if _name(e) not in names and e.get("digest") not in digests]
    return {**index, "manifests": [*kept, *index["manifests"]]}


def _name(entry: dict[str, Any]) -> str:
    annotations = entry.get("annotations") or {}
    return str(
        annotations.get("io.containerd.image.name")
        or annotations.get("org.opencontainers.image.ref.name")
        or ""
    )
