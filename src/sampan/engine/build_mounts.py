"""`RUN --mount=type=cache|tmpfs`: what a step's container sees besides its layers.

A cache is a directory of `root/build/caches`, its lock a file beside it: `shared` users hold it
shared, a `locked` one alone, and a `private` one takes the first that nobody holds. Locks are
flock(2)'s: an engine that is killed leaves none behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import posixpath
from typing import TYPE_CHECKING, Any

from sampan.build import files
from sampan.kit import errors

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from sampan.build.files import Files
    from sampan.build.instructions.run_mount import Mount

_AGAIN = 0.1  # seconds between two tries for a lock; a cancelled build stops trying


class Mounts:
    """One step's, from `with` to its end."""

    def __init__(self, root: str, mounts: Iterable[Mount], cancelled: threading.Event) -> None:
        self._caches, self._cancelled = f"{root}/build/caches", cancelled
        self._wanted = tuple(mounts)
        self._held = contextlib.ExitStack()
        self.host_config: dict[str, Any] = {}

    def __enter__(self) -> Mounts:
        with contextlib.ExitStack() as undo:
            undo.push(self._held)
            listed = [self._one(mount) for mount in self._wanted]
            undo.pop_all()
        if listed:
            self.host_config = {"Mounts": listed}
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def missing(self, tree: Files) -> list[str]:
        """The directories that mounting will make in the step's layer, deepest first."""
        found: set[str] = set()
        for mount in self._wanted:
            place = files.resolve(tree, mount.target)
            while place and tree.entry(place) is None:
                found.add(place)
                place = posixpath.dirname(place)
        return sorted(found, reverse=True)

    def _one(self, mount: Mount) -> dict[str, Any]:
        made: dict[str, Any] = {
            "Type": "tmpfs",
            "Target": mount.target,
            "ReadOnly": mount.read_only,
        }
        if mount.type == "tmpfs":
            return {**made, "TmpfsOptions": {"SizeBytes": mount.size}}
        return {**made, "Type": "bind", "Source": self._cache(mount)}

    def _cache(self, mount: Mount) -> str:
        name = hashlib.sha256((mount.id or mount.target).encode()).hexdigest()
        os.makedirs(self._caches, mode=0o711, exist_ok=True)
        sharing = mount.sharing or "shared"
        number = 0
        how = fcntl.LOCK_SH if sharing == "shared" else fcntl.LOCK_EX
        while not self._locked(f"{self._caches}/{name}-{number}.lock", how):
            if sharing == "private":
                number += 1
            elif self._cancelled.wait(_AGAIN):
                raise errors.Unavailable("the build was cancelled")
        place = f"{self._caches}/{name}-{number}"
        with contextlib.suppress(FileExistsError):
            os.mkdir(place)
            os.chmod(place, 0o755 if mount.mode is None else mount.mode)
            os.chown(place, mount.uid or 0, mount.gid or 0)
        return place

    def _locked(self, path: str, how: int) -> bool:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._held.callback(os.close, fd)
        return True
