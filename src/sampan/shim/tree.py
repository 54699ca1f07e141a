"""Trees of files as tar streams, in and out of the current root.

The root is the container's, so paths are simply used: a link cannot lead further than the
container's own files. Nothing is imported here after the root was changed.
"""

from __future__ import annotations

import errno
import os
import stat as modes

from sampan.image import removal, tar
from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 20
_LARGE = 1 << 16  # bytes of a file that are not worth a copy
_KINDS = {
    tar.CHARACTER: modes.S_IFCHR,
    tar.BLOCK_DEVICE: modes.S_IFBLK,
    tar.FIFO: modes.S_IFIFO,
}


class KindConflict(errors.InvalidArgument):
    """A directory would be replaced by something else, or the other way round."""


class Outside(errors.InvalidArgument):
    """A member that would leave the directory."""


def write(fd: int, path: str, name: str) -> None:
    """The file or tree at `path` as a tar whose top entry is called `name`. Owns the descriptor.

    Sockets are left out, as everybody does: tar has no word for them. Times are in whole seconds,
    as Docker's are: a fraction would cost each member an extended header.
    """
    try:
        writer = _Writer(fd)
        tar.write_tree(writer, path, name)
        writer.finish()
        writer.flush()
    finally:
        os.close(fd)


class _Writer(tar.Writer):
    """Small things are gathered, large files go from the page cache to the pipe by sendfile(2)."""

    def __init__(self, fd: int) -> None:
        self._fd, self._gathered = fd, bytearray()
        super().__init__(self._gather)

    def _gather(self, data: bytes) -> None:
        self._gathered += data
        if len(self._gathered) >= _LARGE:
            self.flush()

    def flush(self) -> None:
        view = memoryview(self._gathered)
        while view:
            view = view[os.write(self._fd, view) :]
        view.release()
        self._gathered = bytearray()

    def begin(self, entry: tar.Entry) -> None:
        entry.mtime -= entry.mtime % 10**9
        super().begin(entry)

    def add_file(self, entry: tar.Entry, fd: int, head: bytes = b"") -> None:
        if entry.size < _LARGE:
            super().add_file(entry, fd, head)
            return
        self.begin(entry)
        self.flush()
        left = entry.size
        while left:
            sent = self._send(fd, left)
            if not sent:
                self._fill(left)
                break
            left -= sent
        self.pad(entry.size)

    def _send(self, fd: int, count: int) -> int:
        try:
            return os.sendfile(self._fd, fd, None, count)
        except OSError as refused:
            if refused.errno != errno.EINVAL:
                raise
        data = os.read(fd, min(count, _CHUNK))  # a file system without splice
        self._gather(data)
        self.flush()
        return len(data)

    def _fill(self, count: int) -> None:
        """The file shrank meanwhile; its header has promised more."""
        while count:
            part = min(count, _CHUNK)
            self._gather(b"\0" * part)
            count -= part


def read(fd: int, directory: str, *, keep_kinds: bool, owner: tuple[int, int] | None) -> None:
    """Extract a tar into a directory. Owns the descriptor.

    What is in the way is replaced, but directories are merged. With `keep_kinds` a directory is
    never replaced by something else, nor something else by a directory (`KindConflict`). `owner`
    stands for every member's own.
    """
    umask = os.umask(0)
    try:
        source = tar.Source(_chunks(fd))
        times: dict[str, int] = {}
        for entry in tar.read(source):
            if owner is not None:
                entry.uid, entry.gid = owner
            path = _inside(directory, entry.name)
            if path == directory:
                continue
            _clear(path, entry, keep_kinds)
            _make(path, entry, source, directory)
            if entry.kind == tar.DIRECTORY:
                times[path] = entry.mtime
        for path in reversed(times):  # files put into it changed its time
            _set_time(path, times[path])
        source.drain()  # what follows the end would break the sender's pipe
    finally:
        os.umask(umask)
        os.close(fd)


def _chunks(fd: int) -> Iterator[bytes]:
    while data := os.read(fd, _CHUNK):
        yield data


def _inside(directory: str, name: str) -> str:
    clean = os.path.normpath(name.lstrip("/") or ".")
    if clean == ".." or clean.startswith("../"):
        raise Outside(f"archive member {name!r} is refused: its path climbs out")
    return os.path.normpath(os.path.join(directory, clean))


def _clear(path: str, entry: tar.Entry, keep_kinds: bool) -> None:
    """Take away what stands where a member goes; make its parent where there is none."""
    try:
        is_directory = modes.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        _make_parents(os.path.dirname(path))
        return
    becomes = entry.kind == tar.DIRECTORY
    if is_directory and becomes:
        return
    if keep_kinds and is_directory:
        raise KindConflict(f"cannot overwrite directory {path} with non-directory {entry.name}")
    if keep_kinds and becomes:
        raise KindConflict(f"cannot overwrite non-directory {path} with directory {entry.name}")
    if is_directory:
        removal.remove_tree(path)
    else:
        os.unlink(path)


def _make_parents(path: str) -> None:
    """Not makedirs, which gives those on the way the mode that an umask of 0 leaves: all."""
    if not os.path.isdir(path):
        _make_parents(os.path.dirname(path))
        os.mkdir(path, 0o755)


def _make(path: str, entry: tar.Entry, source: tar.Source, directory: str) -> None:
    if entry.kind == tar.REGULAR:
        _make_file(path, entry, source)
        return
    if entry.kind == tar.HARD_LINK:
        os.link(_inside(directory, entry.link), path, follow_symlinks=False)
        return
    if entry.kind == tar.SYMLINK:
        os.symlink(entry.link, path)
    elif entry.kind == tar.DIRECTORY:
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
    else:
        os.mknod(path, _KINDS[entry.kind] | 0o600, os.makedev(*entry.device))
    os.lchown(path, entry.uid, entry.gid)
    if entry.kind != tar.SYMLINK:
        os.chmod(path, entry.mode)
        tar.set_xattrs(path, entry)
    _set_time(path, entry.mtime)


def _make_file(path: str, entry: tar.Entry, source: tar.Source) -> None:
    flags = os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, entry.mode & 0o777)
    try:
        tar.write_data(entry, fd, source)
        os.fchown(fd, entry.uid, entry.gid)
        if entry.mode & 0o7000:
            os.fchmod(fd, entry.mode)  # after chown, which clears setuid and setgid
        tar.set_xattrs(fd, entry)
        os.utime(fd, ns=(entry.mtime, entry.mtime))
    finally:
        os.close(fd)


def _set_time(path: str, mtime: int) -> None:
    os.utime(path, ns=(mtime, mtime), follow_symlinks=False)
