"""A tree written out as files of this machine: what a bind mount of a context shows."""

from __future__ import annotations

import os

from sampan.build import files
from sampan.image import tar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.build.files import Files


def write_out(tree: Files, path: str, target: str, *, owners: bool = False) -> None:
    """A path and all below it, at `target`, which is not there yet; all is root's without `owners`.
    Nothing is followed: the tree has said what each place is, and each is made anew."""
    for place in files.walk(tree, path):
        entry = tree.entry(place)
        if entry is None:
            continue
        below = place[len(path) :].strip("/")
        made = f"{target}/{below}" if below else target
        _one(tree, place, entry, made)
        if owners and os.path.lexists(made):
            os.chown(made, entry.uid, entry.gid, follow_symlinks=False)
            if entry.kind != tar.SYMLINK:
                os.chmod(made, entry.mode & 0o7777)  # chown took its set-id bits


def _one(tree: Files, place: str, entry: tar.Entry, to: str) -> None:
    if entry.kind == tar.DIRECTORY:
        os.mkdir(to)
    elif entry.kind == tar.SYMLINK:
        os.symlink(entry.link, to)
        return
    elif entry.kind == tar.REGULAR:
        fd = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            tree.copy(place, file.write)
    else:
        return  # devices and pipes are nothing to build from
    os.chmod(to, entry.mode & 0o7777)
    os.utime(to, ns=(entry.mtime, entry.mtime))
