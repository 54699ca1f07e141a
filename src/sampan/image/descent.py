"""The way down to where an entry of a layer goes, by open directories.

Every directory is opened from its own parent without following links, and kept open while entries
of the same directory follow: a path that climbs, or a name that is a link on the way, refuses the
whole layer, by the entry's name.
"""

from __future__ import annotations

import os
import stat

from sampan.kit import errors

OPAQUE_XATTR = "trusted.overlay.opaque"
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_AT_ONCE = 64  # directories on the way to the current one


class Trap(errors.InvalidArgument):
    """An entry that would reach outside."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"layer entry {name!r} is refused: {why}")
        self.name = name


class Descent:
    """Below the open directory `root`; `parent` is where one is, `parent_name` its path."""

    def __init__(self, root: int) -> None:
        self.root = root
        self._way: list[tuple[str, int]] = []  # open directories from below the root to the parent
        self.parent, self.parent_name = root, ""
        self.inherits = _gives_group(root)

    def enter(self, name: str, shown: str) -> None:
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
        self.leave(shared)
        fd = self.parent
        for step in steps[shared:]:
            following = self._step(step, fd, shown)
            if len(self._way) < _OPEN_AT_ONCE:
                self._way.append((step, following))
            elif fd != self._way[-1][1]:
                os.close(fd)
            fd = self.parent = following
        self.parent_name = name
        self.inherits = _gives_group(fd)

    def _step(self, step: str, fd: int, shown: str) -> int:
        try:
            return os.open(step, DIRECTORY, dir_fd=fd)
        except FileNotFoundError:
            os.mkdir(step, 0o755, dir_fd=fd)
        except NotADirectoryError:
            if not _is_whiteout(step, fd):
                raise Trap(shown, f"{step!r} on its way is a link or a file") from None
            replace_by_directory(step, 0o755, fd)
        return os.open(step, DIRECTORY, dir_fd=fd)

    def leave(self, keep: int = 0) -> None:
        """Go back to the first `keep` directories of the way."""
        if self.parent not in (self.root, *(fd for _, fd in self._way[-1:])):
            os.close(self.parent)
        while len(self._way) > keep:
            os.close(self._way.pop()[1])
        self.parent = self._way[-1][1] if self._way else self.root
        self.parent_name = "/".join(step for step, _ in self._way)
        self.inherits = _gives_group(self.parent)


def replace_by_directory(base: str, mode: int, parent: int) -> None:
    """What stood here, be it a whiteout, hid a lower layer's; so does the directory."""
    os.unlink(base, dir_fd=parent)
    os.mkdir(base, mode, dir_fd=parent)
    fd = os.open(base, DIRECTORY, dir_fd=parent)
    try:
        os.setxattr(fd, OPAQUE_XATTR, b"y")
    finally:
        os.close(fd)


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
