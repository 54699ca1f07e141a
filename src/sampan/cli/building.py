"""A build context on its way to the engine: a directory as a tar stream, less what is ignored."""

from __future__ import annotations

import os
import stat

from sampan.build import ignore
from sampan.image import tar
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_ENOUGH = 1 << 20


def pairs(texts: Sequence[str], environ: Mapping[str, str]) -> dict[str, str | None]:
    """NAME=VALUE; a NAME alone has its value from the environment, or none."""
    found: dict[str, str | None] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        found[name] = value if equals else environ.get(name)
    return found


def dockerfile_in(directory: str, given: str) -> str:
    """The Dockerfile's path inside the context. Raises InvalidArgument for one outside."""
    path = given or os.path.join(directory, "Dockerfile")
    if not os.path.exists(path) and given and os.path.exists(os.path.join(directory, given)):
        path = os.path.join(directory, given)
    if not os.path.isfile(path):
        raise errors.InvalidArgument(
            f"unable to prepare context: unable to evaluate symlinks in Dockerfile path: {path}:"
            " no such file or directory"
        )
    inside = os.path.relpath(os.path.realpath(path), os.path.realpath(directory))
    if inside.startswith(".."):
        raise errors.InvalidArgument(
            f"the Dockerfile ({path}) must be within the build context ({directory})"
        )
    return inside


def packed(directory: str, dockerfile: str) -> Iterator[bytes]:
    """The context as a tar stream. Owners are left out: COPY gives files to root."""
    matcher = _matcher(directory, dockerfile)
    kept = {dockerfile, f"{dockerfile}.dockerignore", ".dockerignore"}
    parts: list[bytes] = []
    size = 0

    def collect(data: bytes) -> None:
        nonlocal size
        parts.append(data)
        size += len(data)

    writer = tar.Writer(collect)
    for name in _names(directory, "", matcher, kept):
        path = f"{directory}/{name}"
        status = os.lstat(path)
        if stat.S_ISSOCK(status.st_mode):
            continue
        entry = tar.entry_of(path, name, status)
        entry.uid = entry.gid = 0
        writer.begin(entry)
        if entry.kind == tar.REGULAR:
            yield from _data(path, entry.size, parts)
            size = 0
            writer.pad(entry.size)
        if size > _ENOUGH:
            yield b"".join(parts)
            parts.clear()
            size = 0
    writer.finish()
    yield b"".join(parts)


def _matcher(directory: str, dockerfile: str) -> ignore.Matcher:
    return ignore.Matcher(ignore.read(ignore_file(directory, dockerfile) or ""))


def ignore_file(directory: str, dockerfile: str) -> str | None:
    """The text of the Dockerfile's own `.dockerignore`, or else of the directory's."""
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        try:
            with open(f"{directory}/{name}", errors="surrogateescape") as file:
                return file.read()
        except FileNotFoundError:
            continue
    return None


def _names(directory: str, under: str, matcher: ignore.Matcher, kept: set[str]) -> Iterator[str]:
    with os.scandir(f"{directory}/{under}") as found:
        children = sorted(found, key=lambda child: child.name)
    for child in children:
        name = f"{under}/{child.name}" if under else child.name
        ignored = matcher.ignores(name) and name not in kept
        folder = child.is_dir(follow_symlinks=False)
        if not ignored:
            yield name
        needed = any(path.startswith(f"{name}/") for path in kept)
        if folder and (not ignored or needed or not matcher.prunes(name)):
            yield from _names(directory, name, matcher, kept)


def _data(path: str, size: int, parts: list[bytes]) -> Iterator[bytes]:
    """Exactly `size` bytes; a file that shrank meanwhile is filled with zeros."""
    with open(path, "rb") as file:
        while size:
            part = file.read(min(size, _ENOUGH)) or b"\0" * min(size, _ENOUGH)
            parts.append(part)
            size -= len(part)
            if size or sum(map(len, parts)) > _ENOUGH:
                yield b"".join(parts)
                parts.clear()
