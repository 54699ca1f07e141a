"""Layers unpacked onto a disk: each entry below one directory, never anywhere else.

    unpack(chunks, directory_fd, expected=diff_id) → Unpacked(diff_id, size, entries)

The tar is hostile. Every parent directory is opened from its own parent without following links,
and kept open while entries of the same directory follow; a path that climbs, a name that is a link
on the way, or a hard link to the outside refuses the whole layer, by the entry's name. Whiteouts
become what overlayfs understands: a 0:0 character device, and `trusted.overlay.opaque` on a
directory (image-spec layer.md; kernel overlayfs.rst). Nothing is synced here: the snapshot is
(`snapshots`).
"""

from __future__ import annotations

import os
import stat

from sampan.image import hashing, tar
from sampan.image.removal import remove_tree
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import hashlib
    from collections.abc import Generator, Iterator

WHITEOUT, META, OPAQUE = ".wh.", ".wh..wh.", ".wh..wh..opq"
_LARGE = 4 << 20  # bytes
_OPEN_AT_ONCE = 64  # directories on the way to the current one
_OPAQUE_XATTR = "trusted.overlay.opaque"
_NEW_FILE = os.O_CREAT | os.O_WRONLY | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Trap(errors.InvalidArgument):
    """An entry that would reach outside."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"layer entry {name!r} is refused: {why}")
        self.name = name


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
        self._way: list[tuple[str, int]] = []  # open directories from below the root to the parent
        self._parent, self._parent_name = root, ""
        self._inherits = _gives_group(root)
        self._times: dict[str, int] = {}  # directories' mtimes, set when nothing changes them more
        self.size = self.entries = 0

    def put(self, entry: tar.Entry, source: tar.Source, *, whiteouts: bool) -> None:
        self.entries += 1
        name = clean(entry.name)
        if not name:
            if entry.kind == tar.DIRECTORY:
                self._attributes_of_directory(entry, self._root)
                self._times[""] = entry.mtime
                self._leave()
            return
        above, _, base = name.rpartition("/")
        if above != self._parent_name:
            self._enter(above, entry.name)
        if whiteouts and base.startswith(WHITEOUT):
            self._whiteout(base, entry.name)
        elif entry.kind == tar.DIRECTORY:
            self._directory(entry, base, name)
        else:
            self._make(entry, base, source)

    def _enter(self, name: str, shown: str) -> None:
        """Make `name` the open parent; missing directories on the way are made.

        What it shares with the last parent stays open: nothing replaces a directory on the way
        without entering the one above it first.
        """
        steps = name.split("/") if name else []
        shared = 0
        for (step, _), wanted in zip(self._way, steps, strict=False):
            if step != wanted:
                break
            shared += 1
        self._leave(shared)
        fd = self._parent
        for step in steps[shared:]:
            following = self._step(step, fd, shown)
            if len(self._way) < _OPEN_AT_ONCE:
                self._way.append((step, following))
            elif fd != self._way[-1][1]:
                os.close(fd)
            fd = self._parent = following
        self._parent_name = name
        self._inherits = _gives_group(fd)

    def _step(self, step: str, fd: int, shown: str) -> int:
        try:
            return os.open(step, _DIRECTORY, dir_fd=fd)
        except FileNotFoundError:
            os.mkdir(step, 0o755, dir_fd=fd)
        except NotADirectoryError:
            if not _is_whiteout(step, fd):
                raise Trap(shown, f"{step!r} on its way is a link or a file") from None
            self._replace_by_directory(step, 0o755, fd)
        return os.open(step, _DIRECTORY, dir_fd=fd)

    def _leave(self, keep: int = 0) -> None:
        """Go back to the first `keep` directories of the way."""
        if self._parent not in (self._root, *(fd for _, fd in self._way[-1:])):
            os.close(self._parent)
        while len(self._way) > keep:
            os.close(self._way.pop()[1])
        self._parent = self._way[-1][1] if self._way else self._root
        self._parent_name = "/".join(step for step, _ in self._way)
        self._inherits = _gives_group(self._parent)

    def _whiteout(self, base: str, shown: str) -> None:
        if base == OPAQUE:
            os.setxattr(self._parent, _OPAQUE_XATTR, b"y")
            return
        if base.startswith(META):
            return  # aufs kept its own books under such names
        hidden = base[len(WHITEOUT) :]
        if hidden in ("", ".", ".."):
            raise Trap(shown, "a whiteout needs a name")
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=self._parent)
        except FileExistsError:  # of this same layer: a whiteout hides lower ones only
            if stat.S_ISDIR(os.lstat(hidden, dir_fd=self._parent).st_mode):
                fd = os.open(hidden, _DIRECTORY, dir_fd=self._parent)
                try:
                    os.setxattr(fd, _OPAQUE_XATTR, b"y")
                finally:
                    os.close(fd)

    def _directory(self, entry: tar.Entry, base: str, name: str) -> None:
        try:
            os.mkdir(base, entry.mode, dir_fd=self._parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(base, dir_fd=self._parent).st_mode):
                self._replace_by_directory(base, entry.mode, self._parent)
        fd = os.open(base, _DIRECTORY, dir_fd=self._parent)
        try:
            self._attributes_of_directory(entry, fd)
        finally:
            os.close(fd)
        self._times[name] = entry.mtime

    def _replace_by_directory(self, base: str, mode: int, parent: int) -> None:
        """What stood here, be it a whiteout, hid a lower layer's; so does the directory."""
        os.unlink(base, dir_fd=parent)
        os.mkdir(base, mode, dir_fd=parent)
        fd = os.open(base, _DIRECTORY, dir_fd=parent)
        try:
            os.setxattr(fd, _OPAQUE_XATTR, b"y")
        finally:
            os.close(fd)

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
        parent = self._parent
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
        fd = os.open(base, _NEW_FILE, entry.mode & 0o777, dir_fd=self._parent)
        try:
            tar.write_data(entry, fd, source)
            self.size += entry.true_size
            if self._owners and (entry.uid or entry.gid or self._inherits):
                os.fchown(fd, entry.uid, entry.gid)
            if entry.mode & 0o7000:
                os.fchmod(fd, entry.mode)  # after chown, which clears setuid and setgid
            if entry.xattrs:
                tar.set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _hard_link(self, entry: tar.Entry, base: str) -> None:
        target = clean(entry.link, of=entry.name)
        above, _, name = target.rpartition("/")
        fd = self._root
        try:
            for step in above.split("/") if above else ():
                following = os.open(step, _DIRECTORY, dir_fd=fd)
                if fd != self._root:
                    os.close(fd)
                fd = following
            os.link(name, base, src_dir_fd=fd, dst_dir_fd=self._parent, follow_symlinks=False)
        except FileExistsError:
            if os.path.sameopenfile(fd, self._parent) and name == base:
                return  # to itself
            raise
        except NotADirectoryError:
            raise Trap(entry.name, f"{entry.link!r} leads through a link or a file") from None
        except (FileNotFoundError, PermissionError) as error:
            why = f"it is a hard link to {entry.link!r}, which is no file of this layer"
            raise Trap(entry.name, why) from error
        finally:
            if fd != self._root:
                os.close(fd)

    def _remove(self, base: str) -> None:
        """The later of two entries with one name counts (layer.md: replace, not merge)."""
        if stat.S_ISDIR(os.lstat(base, dir_fd=self._parent).st_mode):
            name = f"{self._parent_name}/{base}".lstrip("/")
            gone = [n for n in self._times if n == name or n.startswith(f"{name}/")]
            for each in gone:
                del self._times[each]
            remove_tree(base, dir_fd=self._parent)
        else:
            os.unlink(base, dir_fd=self._parent)

    def finish(self) -> None:
        for name in sorted(self._times, key=lambda name: name.split("/"), reverse=True):
            times = (self._times[name], self._times[name])
            if not name:
                os.utime(self._root, ns=times)
                continue
            above, _, base = name.rpartition("/")
            if above != self._parent_name:
                self._enter(above, name)
            os.utime(base, ns=times, dir_fd=self._parent, follow_symlinks=False)

    def close(self) -> None:
        self._leave()


def _gives_group(fd: int) -> bool:
    """Whether new files get the directory's group instead of ours (setgid, or mounted so)."""
    status = os.fstat(fd)
    return bool(status.st_mode & stat.S_ISGID)


def _is_whiteout(name: str, parent: int) -> bool:
    status = os.lstat(name, dir_fd=parent)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def clean(name: str, of: str = "") -> str:
    """The path without leading slashes and dots. Raises Trap where it climbs."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        why = f"it is a hard link to {name!r}, outside the layer" if of else "its path climbs out"
        raise Trap(of or name, why)
    return "/".join(parts)
