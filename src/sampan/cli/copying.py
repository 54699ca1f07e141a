"""Copy between a container and here, with the rules of `cp -a` that Docker's `cp` follows.

The engine speaks tar: an archive of a path has the path's last name as its root. So a copy that
also renames changes the first part of each member's name on the way.
"""

from __future__ import annotations

import os
import stat
import tarfile

from sampan.cli import unpacking
from sampan.client import wirejson
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sampan.client import api, http

DIRECTORY, SYMLINK = 1 << 31, 1 << 27  # Go's os.FileMode, which the stat header carries
PIECE = 1 << 18
STAT_HEADER = "x-docker-container-path-stat"


class Stat(Record):
    name: str
    is_directory: bool
    is_link: bool
    link_target: str


def read_stat(headers: Mapping[str, str]) -> Stat:
    import base64

    found = wirejson.loads(base64.b64decode(headers[STAT_HEADER]))
    return Stat(
        name=found["name"],
        is_directory=bool(found["mode"] & DIRECTORY),
        is_link=bool(found["mode"] & SYMLINK),
        link_target=found.get("linkTarget") or "",
    )


class _Side:
    def __init__(self, client: api.Client, container: str, *, follow: bool) -> None:
        self._client = client
        self._path = f"/containers/{container}/archive"
        self._follow = follow

    def stat(self, path: str) -> Stat | None:
        """None where there is no such path (an unknown container raises)."""
        from sampan.client import errors as client_errors

        try:
            response = self._client.stream("HEAD", self._path, {"path": path})
        except client_errors.NotFound:
            return None
        self._client.release(response)
        return read_stat(response.headers)


# --- out of a container ------------------------------------------------------


class FromContainer(_Side):
    def run(self, source: str, target: str, *, archive: bool) -> int:
        """Copy `source` to the local `target` ("-": tar on stdout); the bytes of content."""
        source = self._resolve(source)
        response = self._client.stream("GET", self._path, {"path": source})
        if target == "-":
            return _to_stdout(response)
        found = read_stat(response.headers)
        place, rename = _place(found, source, target)
        with tarfile.open(fileobj=unpacking.Reader(response), mode="r|") as tar:  # type: ignore[call-overload]
            return unpacking.unpack(tar, place, rename, keep_owners=archive)

    def _resolve(self, source: str) -> str:
        """With -L, what a symbolic link points to."""
        if not self._follow:
            return source
        found = self.stat(source)
        if found is None or not found.is_link:
            return source
        return os.path.join(os.path.dirname(source.rstrip("/")), found.link_target)


def _to_stdout(response: http.Response) -> int:
    total = 0
    for piece in response:
        total += len(piece)
        view = memoryview(piece)
        while view:
            view = view[os.write(1, view) :]
    return total


def _place(found: Stat, source: str, target: str) -> tuple[str, str | None]:
    """(directory to unpack into, name that replaces the archive's root; None drops it)."""
    contents = source.rstrip("/").endswith("/.") or source == "."
    if os.path.isdir(target):
        return (target, None) if contents and found.is_directory else (target, found.name)
    parent, name = os.path.split(target.rstrip("/") or "/")
    if os.path.lexists(target):
        if found.is_directory:
            raise errors.Conflict("cannot copy directory")
        if target.endswith("/"):
            raise errors.InvalidArgument(f"{target} is not a directory")
    elif target.endswith("/") and not found.is_directory:
        raise errors.NotFound("no such directory")
    if not os.path.isdir(parent or "."):
        raise errors.NotFound(f'invalid output path: directory "{parent}" does not exist')
    return parent or ".", name


# --- into a container --------------------------------------------------------


class ToContainer(_Side):
    def run(self, source: str, target: str, *, archive: bool) -> int:
        """Copy the local `source` ("-": a tar on stdin) to `target`; the bytes of content."""
        target = self._resolve(target)
        found = self.stat(target)
        if source == "-":
            if found is None or not found.is_directory:
                raise errors.InvalidArgument(f'destination "{target}" must be a directory')
            self._put(target, iter(lambda: os.read(0, PIECE), b""), archive)
            return 0
        if self._follow:
            source = os.path.realpath(source) + ("/." if source.endswith("/.") else "")
        if not os.path.lexists(source):
            raise errors.NotFound(f"lstat {source}: no such file or directory")
        directory, root = self._place(source, target, found)
        packer = Packer(source, root)
        self._put(directory, packer.pieces(), archive)
        return packer.size

    def _resolve(self, target: str) -> str:
        """The target, or what it points to where it is a symbolic link."""
        found = self.stat(target)
        if found is None or not found.is_link:
            return target
        return os.path.join(os.path.dirname(target.rstrip("/")), found.link_target)

    def _put(self, directory: str, pieces: Iterator[bytes], archive: bool) -> None:
        query = {
            "path": directory,
            "noOverwriteDirNonDir": "true",
            "copyUIDGID": "true" if archive else None,
        }
        self._client.call("PUT", self._path, query, pieces)

    def _place(self, source: str, target: str, found: Stat | None) -> tuple[str, str]:
        """(directory to unpack in, the archive's root there; "." for bare contents)."""
        is_directory = os.path.isdir(source) and not os.path.islink(source.rstrip("/"))
        contents = source.endswith("/.") or source == "."
        if found is not None and found.is_directory:
            root = "." if contents else os.path.basename(os.path.abspath(source))
            return target, root
        parent, name = os.path.split(target.rstrip("/") or "/")
        if found is not None and is_directory:
            raise errors.Conflict("cannot copy directory")
        if found is None and target.endswith("/") and not is_directory:
            raise errors.NotFound("no such directory")
        return parent or "/", name


class Packer:
    """A file or directory as a tar stream whose root is called `root`."""

    def __init__(self, source: str, root: str) -> None:
        self._source = source
        self._root = root
        self.size = 0

    def pieces(self) -> Iterator[bytes]:
        yield from self._member(self._source, self._root)
        yield bytes(2 * tarfile.BLOCKSIZE)

    def _member(self, path: str, name: str) -> Iterator[bytes]:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            return  # it means nothing elsewhere
        info = tarfile.TarFile(fileobj=_Nowhere(), mode="w").gettarinfo(path, name)  # type: ignore[arg-type]
        if name != ".":
            info.name = name
        if not info.isreg():
            yield _header(info)
        else:
            yield from self._file(path, info)
        if info.isdir():
            for entry in sorted(os.listdir(path)):
                child = entry if name == "." else f"{name}/{entry}"
                yield from self._member(os.path.join(path, entry), child)

    def _file(self, path: str, info: tarfile.TarInfo) -> Iterator[bytes]:
        with open(path, "rb") as file:
            info.size = left = os.fstat(file.fileno()).st_size
            self.size += info.size
            yield _header(info)
            while left:
                piece = file.read(min(PIECE, left))
                if not piece:
                    raise errors.Unavailable(f"{path} became shorter while it was copied")
                left -= len(piece)
                yield piece
        yield bytes(-info.size % tarfile.BLOCKSIZE)


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


class _Nowhere:
    """`gettarinfo` needs an archive, which needs a file."""

    def tell(self) -> int:
        return 0

    def write(self, data: bytes) -> int:
        return len(data)
