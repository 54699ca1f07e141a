"""A build context on its way to the engine: a directory as a tar stream, less what is ignored."""

from __future__ import annotations

import os
import stat

from sampan.build import walking
from sampan.image import tar
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sampan.build import ignore

_ENOUGH = 1 << 20
INSIDE = ".sampan-contexts"  # where the engine looks for what came along
OUTSIDE = f"{INSIDE}/.dockerfile"


def pairs(texts: Sequence[str], environ: Mapping[str, str]) -> dict[str, str | None]:
    """NAME=VALUE; a NAME alone has its value from the environment, or none."""
    found: dict[str, str | None] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        found[name] = value if equals else environ.get(name)
    return found


def arguments(texts: Sequence[str], environ: Mapping[str, str]) -> dict[str, str | None]:
    """`--build-arg`, and SOURCE_DATE_EPOCH of the environment, as buildx gives it along."""
    name = "SOURCE_DATE_EPOCH"
    before = {name: environ[name]} if environ.get(name) else {}
    return before | pairs(texts, environ)


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


def is_remote(text: str) -> bool:
    """A context that the engine fetches."""
    return text.startswith(("http://", "https://", "git@", "git://", "ssh://"))


def is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def is_outside(directory: str, dockerfile: str) -> bool:
    """Whether the file is there, but not in the context."""
    if not os.path.isfile(dockerfile):
        return False
    inside = os.path.relpath(os.path.realpath(dockerfile), os.path.realpath(directory))
    return inside.startswith("..")


def packed(
    directory: str, dockerfile: str, contexts: Mapping[str, str] = {}, text: bytes | None = None
) -> Iterator[bytes]:
    """The context as a tar stream. Owners are left out: COPY gives files to root.

    `contexts` are further directories, or tars, by name; `text` is a Dockerfile that lies
    nowhere in it.
    """
    pack = _Pack()
    kept = walking.needed(dockerfile)
    matcher = walking.matcher(directory, dockerfile)
    yield from pack.tree(directory, "", matcher, kept)
    for name, place in contexts.items():
        inside = f"{INSIDE}/{name}"
        if os.path.isdir(place):
            yield from pack.tree(place, inside, walking.matcher(place, ""), set())
        else:
            yield from pack.file(place, inside, os.stat(place))
    if text is not None:
        pack.writer.add(tar.Entry(OUTSIDE), text)
    pack.writer.finish()
    yield from pack.flushed()


def lone(text: bytes) -> Iterator[bytes]:
    """A context that is nothing but a Dockerfile."""
    pack = _Pack()
    pack.writer.add(tar.Entry("Dockerfile"), text)
    pack.writer.finish()
    yield from pack.flushed()


class _Pack:
    """A tar that is given away piece by piece."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self.writer = tar.Writer(self._collect)

    def _collect(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)

    def flushed(self) -> Iterator[bytes]:
        yield b"".join(self._parts)
        self._parts.clear()
        self._size = 0

    def tree(
        self, directory: str, prefix: str, matcher: ignore.Matcher, kept: set[str]
    ) -> Iterator[bytes]:
        if prefix:
            self.writer.begin(tar.Entry(prefix, tar.DIRECTORY, mode=0o755))
        for name, _, status in walking.walk(directory, matcher, kept):
            inside = f"{prefix}/{name}" if prefix else name
            yield from self.file(f"{directory}/{name}", inside, status)

    def file(self, path: str, name: str, status: os.stat_result) -> Iterator[bytes]:
        """One member and its data, but nothing below it."""
        entry = tar.entry_of(path, name, status)
        entry.uid = entry.gid = 0
        # COPY keeps whole seconds; a fraction would cost each member a header of its own.
        entry.mtime -= entry.mtime % 10**9
        self.writer.begin(entry)
        if entry.kind == tar.REGULAR:
            yield from self._data(path, entry.size)
            self.writer.pad(entry.size)
        if self._size > _ENOUGH:
            yield from self.flushed()

    def _data(self, path: str, size: int) -> Iterator[bytes]:
        """Exactly `size` bytes; a file that shrank meanwhile is filled with zeros."""
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while size:
                part = os.read(fd, min(size, _ENOUGH)) or b"\0" * min(size, _ENOUGH)
                self._collect(part)
                size -= len(part)
                if self._size > _ENOUGH:
                    yield from self.flushed()
        finally:
            os.close(fd)
