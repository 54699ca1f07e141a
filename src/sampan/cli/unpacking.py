"""An archive of the engine's, put on the local disk: a container filled it, it may be hostile."""

from __future__ import annotations

import os

from sampan.kit import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    import tarfile

    from sampan.client import http

PIECE = 1 << 18


class BadArchive(errors.InvalidArgument):
    """A member of an archive that would leave the directory it is unpacked into."""


class Reader:
    """A body as the file that `tarfile` reads."""

    def __init__(self, response: http.Response) -> None:
        self._response = response

    def read(self, size: int) -> bytes:
        parts = []
        while size > 0 and (piece := self._response.read_some(size)):
            parts.append(piece)
            size -= len(piece)
        return b"".join(parts)


WHOLE = "/"  # as `rename`: the archive has no root of its own


def unpack(tar: tarfile.TarFile, place: str, rename: str | None, *, keep_owners: bool) -> int:
    """The members below `place`, their root left out or renamed; the bytes of content."""
    total, directories = 0, []
    for member in tar:
        name = _renamed(member.name, rename)
        if member.islnk():
            source = os.path.join(place, _renamed(member.linkname, rename))
            _check_inside(place, source, member.linkname)
            member.linkname = source
        if name in ("", "."):
            continue
        path = os.path.join(place, name)
        _check_inside(place, path, member.name)
        total += member.size
        _write_member(tar, member, path)
        _restore(member, path, keep_owners)
        if member.isdir():
            directories.append((path, member))
    for path, member in reversed(directories):  # what was put inside has changed their times
        os.utime(path, (member.mtime, member.mtime))
    return total


def _renamed(name: str, rename: str | None) -> str:
    """A member's name with the archive's root replaced."""
    if rename == WHOLE:
        return name.strip("/")
    _, slash, rest = name.rstrip("/").partition("/")  # a container's "/" has no name at all
    if rename is None:
        return rest
    return f"{rename}/{rest}" if slash else rename


def _check_inside(place: str, path: str, name: str) -> None:
    """Refuse `..` and links on the way: a container may be hostile."""
    if ".." in name.split("/"):
        raise BadArchive(f"the archive's member {name!r} leaves its directory")
    relative = os.path.relpath(os.path.dirname(path) or ".", place)
    walked = place
    for part in relative.split("/") if relative != "." else ():
        walked = os.path.join(walked, part)
        if os.path.islink(walked):
            raise BadArchive(f"the archive's member {name!r} goes through a symbolic link")


def _write_member(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
    if member.isdir():
        if os.path.islink(path) or not os.path.isdir(path):
            os.mkdir(path, 0o700)
        return
    if os.path.lexists(path):
        if os.path.isdir(path) and not os.path.islink(path):
            raise errors.Conflict(f"cannot overwrite the directory {path} with a file")
        os.unlink(path)
    if member.issym():
        os.symlink(member.linkname, path)
    elif member.islnk():
        os.link(member.linkname, path, follow_symlinks=False)
    elif member.isfile():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        content = tar.extractfile(member)
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            while content is not None and (piece := content.read(PIECE)):
                file.write(piece)
    elif member.isfifo():
        os.mkfifo(path)
    # Devices are left out, as `docker cp` leaves them out for users who may not make them.


def _restore(member: tarfile.TarInfo, path: str, keep_owners: bool) -> None:
    if not os.path.lexists(path) or member.islnk():
        return
    if keep_owners:
        os.lchown(path, member.uid, member.gid)
    if not member.issym():
        os.chmod(path, member.mode & (0o7777 if keep_owners else 0o1777))
        os.utime(path, (member.mtime, member.mtime))
