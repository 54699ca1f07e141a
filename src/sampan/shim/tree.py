"""Trees of files as tar streams, in and out of the current root."""

from __future__ import annotations

import os
import shutil
import stat as modes
import tarfile

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class KindConflict(errors.InvalidArgument):
    """A directory would be replaced by something else, or the other way round."""


def write(fd: int, path: str, name: str) -> None:
    """The file or tree at `path` as a tar whose top entry is called `name`. Owns the descriptor.

    Sockets are left out, as everybody does: tar has no word for them.
    """
    with (
        open(fd, "wb", buffering=1 << 16) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for source, entry in _walk(path, name):
            if modes.S_ISSOCK(os.lstat(source).st_mode):
                continue
            info = tar.gettarinfo(source, entry)
            info.mtime = int(info.mtime)
            if info.isreg():
                with open(source, "rb") as file:
                    tar.addfile(info, file)
            else:
                tar.addfile(info)


def _walk(path: str, name: str) -> Iterator[tuple[str, str]]:
    yield path, name
    if modes.S_ISDIR(os.lstat(path).st_mode):
        for child in sorted(os.listdir(path)):
            yield from _walk(os.path.join(path, child), f"{name}/{child}")


def read(fd: int, directory: str, *, keep_kinds: bool, owner: tuple[int, int] | None) -> None:
    """Extract a tar into a directory. Owns the descriptor.

    What is in the way is replaced, but directories are merged. With `keep_kinds` a directory is
    never replaced by something else, nor something else by a directory (`KindConflict`).
    """
    with open(fd, "rb", buffering=1 << 16) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|*") as tar:
                # The root we are in is the container's: nothing to be protected from (PEP 706).
                tar.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)
                late = []
                for info in tar:
                    if owner is not None:
                        info.uid, info.gid = owner
                    info.uname = info.gname = ""
                    _put(tar, info, directory, keep_kinds)
                    if info.isdir():
                        late.append(info)
                for info in reversed(late):  # files put into it changed its time
                    os.utime(_target(info, directory), (info.mtime, info.mtime))
        except tarfile.TarError as failure:
            raise errors.InvalidArgument(f"the archive is damaged: {failure}") from failure
        while stream.read(1 << 16):
            pass  # what follows the end would break the sender's pipe


def _target(info: tarfile.TarInfo, directory: str) -> str:
    return os.path.normpath(os.path.join(directory, info.name.lstrip("/")))


def _put(tar: tarfile.TarFile, info: tarfile.TarInfo, directory: str, keep_kinds: bool) -> None:
    path = _target(info, directory)
    if path == directory:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    try:
        is_directory = modes.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        pass
    else:
        _clear(path, is_directory, info, keep_kinds)
    if info.islnk():
        info.linkname = info.linkname.lstrip("/")
    tar.extract(info, directory, numeric_owner=True)


def _clear(path: str, is_directory: bool, info: tarfile.TarInfo, keep_kinds: bool) -> None:
    if is_directory and info.isdir():
        return
    if keep_kinds and is_directory:
        raise KindConflict(f"cannot overwrite directory {path} with non-directory {info.name}")
    if keep_kinds and info.isdir():
        raise KindConflict(f"cannot overwrite non-directory {path} with directory {info.name}")
    if is_directory:
        shutil.rmtree(path)
    else:
        os.unlink(path)
