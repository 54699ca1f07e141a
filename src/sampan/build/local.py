"""A build context that is a directory of this machine, read where it lies.

It looks as if its tar had come: owners are root's, times whole seconds, what `.dockerignore` names
is not there. A file is read when a digest of it is wanted that `digests` does not know, and when
it becomes part of a layer; then it has to be what its digest says.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import stat
import time

from sampan.build import files, walking
from sampan.image import tar
from sampan.kit import errors
from sampan.linux import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from sampan.build.digests import Digests
    from sampan.build.ignore import Matcher

# What open(2) says when there is no longer a file, but nothing, a link, or a directory's end.
_ANOTHER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Nanoseconds: a file system's clock may be that coarse (FAT), so that a file which was changed
# that short before it was read may be changed once more without another time.
_RACY = 2 * 10**9


class Changed(errors.Conflict):
    def __init__(self, path: str) -> None:
        super().__init__(f'"/{path}": it changed while the build read it: build again')


def identity(directory: str) -> str:
    """The same for two processes that mean the same directory by its path, and else another one:
    of the kernel, the mount namespace and the directory. Raises
    OSError for what is none."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    status = os.fstat(fd)
    os.close(fd)
    namespace = os.readlink("/proc/self/ns/mnt")
    return f"{proc.boot_id()} {namespace} {status.st_dev}:{status.st_ino}"


class Directory:
    """`matcher` is that of `.dockerignore`; `kept` are files that it does not take away."""

    def __init__(
        self,
        directory: str,
        matcher: Matcher,
        kept: Collection[str],
        known: Digests,
        *,
        began: int | None = None,
    ) -> None:
        """`began`: nanoseconds since 1970, the present if not given."""
        self._directory, self._known = directory, known
        self._began = time.time_ns() if began is None else began
        self._entries: dict[str, tar.Entry] = {}
        self._children: dict[str, list[str]] = {"": []}
        self._stats: dict[str, str] = {}  # of regular files
        self._digests: dict[str, bytes] = {}
        self._several: set[str] = set()  # the names of files that have more than one
        try:
            for name, place, status in walking.walk(directory, matcher, kept):
                self._add(name, self._entry(name, place, status))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Changed(os.path.relpath(str(error.filename), directory)) from None

    def _entry(self, name: str, place: str, status: os.stat_result) -> tar.Entry:
        regular = stat.S_ISREG(status.st_mode)
        known = None
        if regular:
            seen = self._stats[name] = _stat(status)
            if status.st_nlink > 1:
                self._several.add(name)
            known = self._known.find(name, seen)
        if known is not None:  # which has no extended attributes, see `_note`
            self._digests[name] = known
            entry = tar.Entry(name, mode=stat.S_IMODE(status.st_mode), size=status.st_size)
        else:
            try:
                entry = tar.entry_of(place, name, status)
            except FileNotFoundError:
                raise Changed(name) from None
            entry.uid = entry.gid = 0
        entry.mtime = status.st_mtime_ns // 10**9 * 10**9
        return entry

    def _add(self, name: str, entry: tar.Entry) -> None:
        parent, _, base = name.rpartition("/")
        self._parents(parent)
        self._children[parent].append(base)
        if entry.kind == tar.DIRECTORY:
            self._children[name] = []
        self._entries[name] = entry

    def _parents(self, path: str) -> None:
        """Ignored directories of what is not ignored."""
        if path in self._children:
            return
        parent, base = posixpath.split(path)
        self._parents(parent)
        self._children[path] = []
        self._children[parent].append(base)
        self._entries[path] = tar.Entry(path, tar.DIRECTORY, mode=0o755)

    def entry(self, path: str) -> tar.Entry | None:
        return self._entries.get(path) if path else tar.Entry("", tar.DIRECTORY, mode=0o755)

    def children(self, path: str) -> list[str]:
        return list(self._children.get(path, ()))

    def copy(self, path: str, write: Callable[[bytes], object]) -> None:
        """Raises Changed, when the data are not those of the digest that was given."""
        known = self._digests.get(path)
        total = hashlib.sha256()
        for part in self._parts(path):
            write(part)
            if known is not None:
                total.update(part)
        if known is not None and total.digest() != known:
            raise Changed(path)

    def digest(self, path: str) -> bytes:
        found = self._digests.get(path)
        if found is None:
            total = hashlib.sha256()
            for part in self._parts(path):
                total.update(part)
            found = self._digests[path] = total.digest()
            self._note(path, found)
        return found

    def _note(self, path: str, digest: bytes) -> None:
        """What may change once more with no other time is read again by the next build, and so is
        what has extended attributes: who is known has none."""
        seen = self._stats[path]
        *_, modified, changed = seen.split()
        young = max(int(modified), int(changed)) >= self._began - _RACY
        if not young and not self._entries[path].xattrs:
            self._known.note(path, seen, digest)

    def _parts(self, path: str) -> Iterator[bytes]:
        """As many bytes as it had when it was looked at: what grows is cut off there."""
        try:
            fd = os.open(f"{self._directory}/{path}", _FILE)
        except OSError as error:
            if error.errno in _ANOTHER:
                raise Changed(path) from None
            raise
        try:
            now = os.fstat(fd)
            if not self._stats[path].startswith(f"{now.st_dev} {now.st_ino} "):
                raise Changed(path)
            left = self._entries[path].size
            while left:
                part = os.read(fd, min(left, files.CHUNK))
                if not part:
                    raise Changed(path)
                left -= len(part)
                yield part
        finally:
            os.close(fd)

    def shared(self, path: str) -> str | None:
        return " ".join(self._stats[path].split()[:2]) if path in self._several else None

    def save(self) -> None:
        self._known.save(self._stats)


def _stat(one: os.stat_result) -> str:
    return (
        f"{one.st_dev} {one.st_ino} {one.st_mode} {one.st_uid} {one.st_gid}"
        f" {one.st_size} {one.st_mtime_ns} {one.st_ctime_ns}"
    )
