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

import hashlib
import os
import stat

from sampan.image import tar
from sampan.kit import errors
from sampan.kit.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
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
    digest = hashlib.sha256()
    source = tar.Source(_measured(chunks, digest, limit))
    old = os.umask(0)
    worker = _Unpacker(directory, owners=owners)
    try:
        for entry in tar.read(source):
            worker.put(entry, source, whiteouts=whiteouts)
        source.drain()
        worker.finish()
    finally:
        worker.close()
        os.umask(old)
    actual = f"sha256:{digest.hexdigest()}"
    if expected not in (None, actual):
        raise DiffIdMismatch(str(expected), actual)
    return Unpacked(diff_id=actual, size=worker.size, entries=worker.entries)


def _measured(chunks: Iterator[bytes], digest: hashlib._Hash, limit: int | None) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        digest.update(chunk)
        total += len(chunk)
        if limit is not None and total > limit:
            raise TooLarge(limit)
        yield chunk


class _Unpacker:
    def __init__(self, root: int, *, owners: bool) -> None:
        self._root, self._owners = root, owners
        self._parent, self._parent_name = root, ""
        self._times: dict[str, int] = {}  # directories' mtimes, set when nothing changes them more
        self.size = self.entries = 0

    def put(self, entry: tar.Entry, source: tar.Source, *, whiteouts: bool) -> None:
        self.entries += 1
        name = _clean(entry.name)
        if not name:
            if entry.kind == tar.DIRECTORY:
                self._attributes_of_directory(entry, ".", self._root)
                self._times["."] = entry.mtime
            return
        above, _, base = name.rpartition("/")
        self._enter(above, entry.name)
        if whiteouts and base.startswith(_WHITEOUT):
            self._whiteout(base, above, entry.name)
        elif entry.kind == tar.DIRECTORY:
            self._directory(entry, base, name)
        else:
            self._make(entry, base, source)

    def _enter(self, name: str, shown: str) -> None:
        """Make `name` the open parent; missing directories on the way are made."""
        if name == self._parent_name:
            return
        self._leave()
        fd = self._root
        for step in name.split("/") if name else ():
            try:
                following = os.open(step, _DIRECTORY, dir_fd=fd)
            except FileNotFoundError:
                os.mkdir(step, 0o755, dir_fd=fd)
                following = os.open(step, _DIRECTORY, dir_fd=fd)
            except NotADirectoryError:
                raise Trap(shown, f"{step!r} on its way is a link or a file") from None
            except OSError as error:
                if error.errno == 40:  # ELOOP: O_NOFOLLOW met a link
                    raise Trap(shown, f"{step!r} on its way is a link") from None
                raise
            finally:
                if fd != self._root:
                    os.close(fd)
            fd = following
        self._parent, self._parent_name = fd, name

    def _leave(self) -> None:
        if self._parent != self._root:
            os.close(self._parent)
        self._parent, self._parent_name = self._root, ""

    def _whiteout(self, base: str, above: str, shown: str) -> None:
        if base == _OPAQUE:
            os.setxattr(self._parent, "trusted.overlay.opaque", b"y")
            return
        hidden = base[len(_WHITEOUT) :]
        if hidden in ("", ".", ".."):
            raise Trap(shown, "a whiteout needs a name")
        try:
            os.mknod(hidden, stat.S_IFCHR, 0, dir_fd=self._parent)
        except FileExistsError:
            pass  # of this same layer: a whiteout hides lower ones only

    def _directory(self, entry: tar.Entry, base: str, name: str) -> None:
        try:
            os.mkdir(base, entry.mode, dir_fd=self._parent)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(base, dir_fd=self._parent).st_mode):
                os.unlink(base, dir_fd=self._parent)
                os.mkdir(base, entry.mode, dir_fd=self._parent)
        fd = os.open(base, _DIRECTORY, dir_fd=self._parent)
        try:
            self._attributes_of_directory(entry, base, fd)
        finally:
            os.close(fd)
        self._times[name] = entry.mtime

    def _attributes_of_directory(self, entry: tar.Entry, base: str, fd: int) -> None:
        if self._owners:
            os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode)
        _set_xattrs(fd, entry)

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
            if entry.size:
                source.copy_to(fd, entry.size)
                self.size += entry.size
            if self._owners and (entry.uid or entry.gid):
                os.fchown(fd, entry.uid, entry.gid)
            if entry.mode & 0o7000:
                os.fchmod(fd, entry.mode)  # after chown, which clears setuid and setgid
            if entry.xattrs:
                _set_xattrs(fd, entry)
            os.utime(fd, ns=(entry.mtime, entry.mtime))
        finally:
            os.close(fd)

    def _hard_link(self, entry: tar.Entry, base: str) -> None:
        target = _clean(entry.link, of=entry.name)
        above, _, name = target.rpartition("/")
        fd = self._root
        try:
            for step in above.split("/") if above else ():
                following = os.open(step, _DIRECTORY, dir_fd=fd)
                if fd != self._root:
                    os.close(fd)
                fd = following
            os.link(name, base, src_dir_fd=fd, dst_dir_fd=self._parent, follow_symlinks=False)
        except (NotADirectoryError, FileNotFoundError, PermissionError) as error:
            why = f"it is a hard link to {entry.link!r}, which is not in the layer"
            raise Trap(entry.name, why) from error
        except OSError as error:
            if error.errno == 40:
                raise Trap(entry.name, f"{entry.link!r} leads through a link") from None
            raise
        finally:
            if fd != self._root:
                os.close(fd)

    def _remove(self, base: str) -> None:
        """The later of two entries with one name counts (layer.md: replace, not merge)."""
        if stat.S_ISDIR(os.lstat(base, dir_fd=self._parent).st_mode):
            import shutil

            shutil.rmtree(base, dir_fd=self._parent)
        else:
            os.unlink(base, dir_fd=self._parent)

    def finish(self) -> None:
        self._leave()
        for name in sorted(self._times, reverse=True):
            above, _, base = name.rpartition("/")
            try:
                self._enter(above, name)
                times = (self._times[name], self._times[name])
                os.utime(base, ns=times, dir_fd=self._parent, follow_symlinks=False)
            except FileNotFoundError:
                continue  # replaced by a later entry

    def close(self) -> None:
        self._leave()


def _set_xattrs(fd: int, entry: tar.Entry) -> None:
    for key, value in entry.xattrs.items():
        if key.startswith("trusted.overlay."):
            continue  # overlayfs's own language is not for images to speak
        try:
            os.setxattr(fd, key, value)
        except OSError as error:
            if error.errno not in (95, 1):  # EOPNOTSUPP, EPERM: as GNU tar, go on without
                raise


def _clean(name: str, of: str = "") -> str:
    """The path without leading slashes and dots. Raises Trap where it climbs."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        why = f"it is a hard link to {name!r}, outside the layer" if of else "its path climbs out"
        raise Trap(of or name, why)
    return "/".join(parts)
