"""Layers unpacked onto a disk: each entry below one directory, never anywhere else.

    unpack(chunks, directory_fd, expected=diff_id) → Unpacked(diff_id, size, entries)

The tar is hostile: `descent` goes down to each entry's directory without following links, and a
hard link to the outside refuses the whole layer, by the entry's name. Whiteouts become what
overlayfs understands: a 0:0 character device, and `trusted.overlay.opaque` on a directory
(image-spec layer.md; kernel overlayfs.rst). Nothing is synced here: the snapshot is (`snapshots`).
"""

from __future__ import annotations

import os
import stat

from sampan.image import descent, hashing, tar
from sampan.image.removal import remove_tree
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib
    from collections.abc import Generator, Iterator

WHITEOUT, META, OPAQUE = ".wh.", ".wh..wh.", ".wh..wh..opq"
_LARGE = 4 << 20  # bytes
_NEW_FILE = os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class DiffIdMismatch(errors.InvalidArgument):
    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"the layer unpacks to {actual}, the image's config says {expected}")


class TooLarge(errors.InvalidArgument):
    def __init__(self, limit: int) -> None:
        super().__init__(f"the layer unpacks to more than {limit} bytes")


class Unpacked(Record):
    diff_id: str
    size: int  # bytes of file contents
    entries: int


def unpack(
    chunks: Iterator[bytes],
    directory: int,
    *,
    expected: str | None = None,
    limit: int | None = None,
    whiteouts: bool = True,
    owners: bool = True,
) -> Unpacked:
    """Unpack a plain tar stream below the open directory.

    `expected` is the diff_id; `limit` the most bytes the tar may have. Without `whiteouts` such
    names are ordinary files (`import`, `cp`). Raises Trap, TarError, DiffIdMismatch, TooLarge,
    OSError; what was unpacked until then is the caller's to remove.
    """
    digest = hashing.hasher(expected)
    measured = _measured(chunks, digest, limit)
    source = tar.Source(measured)
    old = os.umask(0)
    worker = _Unpacker(directory, owners=owners)
    try:
        for entry in tar.read(source):
            worker.put(entry, source, whiteouts=whiteouts)
        source.drain()
        worker.finish()
    finally:
        measured.close()
        worker.close()
        os.umask(old)
    actual = hashing.digest(digest)
    if expected not in (None, actual):
        raise DiffIdMismatch(str(expected), actual)
    return Unpacked(diff_id=actual, size=worker.size, entries=worker.entries)


def _measured(
    chunks: Iterator[bytes], digest: hashlib._Hash, limit: int | None
) -> Generator[bytes, None, None]:
    """The chunks on their way; for a large layer a thread hashes them."""
    total = 0
    beside = None
    try:
        for chunk in chunks:
            if total > _LARGE and beside is None:
                beside = hashing.Beside(digest)
            (beside or digest).update(chunk)
            total += len(chunk)
            if limit is not None and total > limit:
                raise TooLarge(limit)
            yield chunk
    finally:
        if beside is not None:
            beside.finish()


class _Unpacker:
    def __init__(self, root: int, *, owners: bool) -> None:
        self._root, self._owners = root, owners
        self._at = descent.Descent(root)
        self._times: dict[str, int] = {}  # directories' mtimes, set when nothing changes them more
        self.size = self.entries = 0

    def put(self, entry: tar.Entry, source: tar.Source, *, whiteouts: bool) -> None:
        self.entries += 1
        name = descent.clean(entry.name)
        if not name:
            if entry.kind == tar.DIRECTORY:
                self._attributes_of_directory(entry, self._root)
                self._times[""] = entry.mtime
                self._at.leave()
            return
        above, _, base = name.rpartition("/")
        if above != self._at.parent_name:
            self._at.enter(above, entry.name)
        if whiteouts and base.startswith(WHITEOUT):
            self._whiteout(base, entry.name)
        elif entry.kind == tar.DIRECTORY:
            self._directory(entry, base, name)
        else:
            self._make(entry, base, source)

    def _whiteout(self, base: str, shown: str) -> None:
        if base == OPAQUE:
            os.setxattr(self._at.parent, descent.OPAQUE_XATTR, b"y")
            return
        if base.startswith(META):
            return  # aufs kept its own books under such names
        hidden = base[len(WHITEOUT) :]
        if hidden in ("", ".", ".."):
            raise descent.Trap(shown, "a whiteout needs a name")
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=self._at.parent)
        except FileExistsError:  # of this same layer: a whiteout hides lower ones only
            if stat.S_ISDIR(os.lstat(hidden, dir_fd=self._at.parent).st_mode):
                fd = os.open(hidden, descent.DIRECTORY, dir_fd=self._at.parent)
                try:
                    os.setxattr(fd, descent.OPAQUE_XATTR, b"y")
                finally:
                    os.close(fd)

    def _directory(self, entry: tar.Entry, base: str, name: str) -> None:
        try:
            os.mkdir(base, entry.mode, dir_fd=self._at.parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(base, dir_fd=self._at.parent).st_mode):
                descent.replace_by_directory(base, entry.mode, self._at.parent)
        fd = os.open(base, descent.DIRECTORY, dir_fd=self._at.parent)
        try:
            self._attributes_of_directory(entry, fd)
        finally:
            os.close(fd)
        self._times[name] = entry.mtime

    def _attributes_of_directory(self, entry: tar.Entry, fd: int) -> None:
        if self._owners:
            os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        if entry.xattrs:
            tar.set_xattrs(fd, entry)

    def _make(self, entry: tar.Entry, base: str, source: tar.Source) -> None:
        try:
            self._create(entry, base, source)
        except FileExistsError:
            self._remove(base)
            self._create(entry, base, source)

    def _create(self, entry: tar.Entry, base: str, source: tar.Source) -> None:
        parent = self._at.parent
        if entry.kind == tar.REGULAR:
            self._file(entry, base, source)
            return
        if entry.kind == tar.HARD_LINK:
            self._hard_link(entry, base)
            return
        if entry.kind == tar.SYMLINK:
            os.symlink(entry.link, base, dir_fd=parent)
        elif entry.kind == tar.FIFO:
            os.mknod(base, stat.S_IFIFO | entry.mode, dir_fd=parent)
        else:
            kind = stat.S_IFCHR if entry.kind == tar.CHARACTER else stat.S_IFBLK
            os.mknod(base, kind | entry.mode, os.makedev(*entry.device), dir_fd=parent)
        if self._owners:
            os.chown(base, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
        if entry.kind != tar.SYMLINK:
            os.chmod(base, entry.mode, dir_fd=parent)
        times = (entry.mtime, entry.mtime)
        os.utime(base, ns=times, dir_fd=parent, follow_symlinks=False)

    def _file(self, entry: tar.Entry, base: str, source: tar.Source) -> None:
        fd = os.open(base, _NEW_FILE, entry.mode & 0o777, dir_fd=self._at.parent)
        try:
            tar.write_data(entry, fd, source)
            self.size += entry.true_size
            if self._owners and (entry.uid or entry.gid or self._at.inherits):
                os.fchown(fd, entry.uid, entry.gid)
            if entry.mode & 0o7000:
                os.fchmod(fd, entry.mode)  # after chown, which clears setuid and setgid
            if entry.xattrs:
                tar.set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _hard_link(self, entry: tar.Entry, base: str) -> None:
        target = descent.clean(entry.link, of=entry.name)
        above, _, name = target.rpartition("/")
        fd = self._root
        try:
            for step in above.split("/") if above else ():
                following = os.open(step, descent.DIRECTORY, dir_fd=fd)
                if fd != self._root:
                    os.close(fd)
                fd = following
            os.link(name, base, src_dir_fd=fd, dst_dir_fd=self._at.parent, follow_symlinks=False)
        except FileExistsError:
            if os.path.sameopenfile(fd, self._at.parent) and name == base:
                return  # to itself
            raise
        except NotADirectoryError:
            raise descent.Trap(
                entry.name, f"{entry.link!r} leads through a link or a file"
            ) from None
        except (FileNotFoundError, PermissionError) as error:
            why = f"it is a hard link to {entry.link!r}, which is no file of this layer"
            raise descent.Trap(entry.name, why) from error
        finally:
            if fd != self._root:
                os.close(fd)

    def _remove(self, base: str) -> None:
        """The later of two entries with one name counts (layer.md: replace, not merge)."""
        if stat.S_ISDIR(os.lstat(base, dir_fd=self._at.parent).st_mode):
            name = f"{self._at.parent_name}/{base}".lstrip("/")
            gone = [n for n in self._times if n == name or n.startswith(f"{name}/")]
            for each in gone:
                del self._times[each]
            remove_tree(base, dir_fd=self._at.parent)
        else:
            os.unlink(base, dir_fd=self._at.parent)

    def finish(self) -> None:
        for name in sorted(self._times, key=lambda name: name.split("/"), reverse=True):
            times = (self._times[name], self._times[name])
            if not name:
                os.utime(self._root, ns=times)
                continue
            above, _, base = name.rpartition("/")
            if above != self._at.parent_name:
                self._at.enter(above, name)
            os.utime(base, ns=times, dir_fd=self._at.parent, follow_symlinks=False)

    def close(self) -> None:
        self._at.leave()
