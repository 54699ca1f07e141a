"""`RUN --mount=type=cache`: directories of `root/build/caches`, and a lock file beside each.

`shared` users hold the lock shared, a `locked` one alone, and a `private` one takes the first cache
of its id that nobody holds. One step that names an id twice has it once, as strictly as the
strictest of the two wants it; several are taken in the order of their names, so that two steps
never wait for each other. Locks are flock(2)'s: an engine that is killed leaves none behind.

A cache is another one for another owner or mode that the step names, and for other files to begin
with (`from`, `source`), as in BuildKit.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
from typing import TYPE_CHECKING

from sampan.build import export
from sampan.kit import errors

if TYPE_CHECKING:
    import contextlib
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from sampan.build.instructions.run_mount import Mount
    from sampan.build.running import Bind

    Fill = Callable[[str, str], bool]  # key, directory: whether it was made from elsewhere

_AGAIN = 0.1  # seconds between two tries for a lock; a cancelled build stops trying


def place(root: str) -> str:
    return f"{root}/build/caches"


class Caches:
    """Those of one step: `take` all at once, then `at` says where each is."""

    def __init__(
        self,
        root: str,
        scratch: str,
        held: contextlib.ExitStack,
        cancelled: threading.Event,
        fill: Fill,
    ) -> None:
        self._root, self._scratch = place(root), scratch
        self._held, self._cancelled, self._fill = held, cancelled, fill
        self._begin: Mapping[int, Bind] = {}
        self._places: dict[int, str] = {}  # by the mount's number in the step

    def take(self, mounts: Sequence[tuple[int, Mount]], begin: Mapping[int, Bind]) -> None:
        """`begin`: what a cache that is new has in it, by the mount's number."""
        self._begin = begin
        os.makedirs(self._root, mode=0o711, exist_ok=True)
        common: dict[str, list[tuple[int, Mount]]] = {}
        for number, mount in mounts:
            if mount.sharing == "private":
                continue
            common.setdefault(self._name(number, mount), []).append((number, mount))
        for name in sorted(common):
            alone = any(mount.sharing == "locked" for _, mount in common[name])
            self._wait(f"{self._root}/{name}-0.lock", fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
            for number, mount in common[name]:
                self._places[number] = self._made(f"{self._root}/{name}-0", number, mount)
        for number, mount in mounts:
            if mount.sharing == "private":
                self._places[number] = self._private(number, mount)

    def at(self, number: int) -> str:
        return self._places[number]

    def _wait(self, lock: str, how: int) -> None:
        while not self._locked(lock, how):
            if self._cancelled.wait(_AGAIN):
                raise errors.Unavailable("the build was cancelled")

    def _private(self, number: int, mount: Mount) -> str:
        name, which = f"{self._root}/{self._name(number, mount)}", 0
        while not self._locked(f"{name}-{which}.lock", fcntl.LOCK_EX):
            which += 1
        return self._made(f"{name}-{which}", number, mount)

    def _made(self, directory: str, number: int, mount: Mount) -> str:
        if os.path.isdir(directory):
            return directory
        try:
            self._make(directory, self._begin.get(number), mount)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise  # else another build made it meanwhile
        with open(f"{directory}.lock", "w") as file:
            file.write(mount.id or mount.target)
        return directory

    def _make(self, directory: str, begin: Bind | None, mount: Mount) -> None:
        if begin is not None:
            new = f"{tempfile.mkdtemp(dir=self._scratch)}/cache"
            export.write_out(begin.files, begin.place, new, owners=True)
            os.rename(new, directory)
            return
        if not self._fill(mount.cache_key, directory):
            os.mkdir(directory)
        os.chmod(directory, mount.cache_mode)
        os.chown(directory, mount.uid or 0, mount.gid or 0)

    def _name(self, number: int, mount: Mount) -> str:
        if number in self._begin:
            return name_of(f"{mount.id or mount.target}\0{self._begin[number].identity}")
        return name_of(mount.cache_key)

    def _locked(self, path: str, how: int) -> bool:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        os.utime(fd)  # when it was used last
        self._held.callback(os.close, fd)
        return True


def told(directory: str, name: str) -> str:
    """The id that a step knows a cache by."""
    with open(f"{directory}/{name}.lock", errors="replace") as file:
        return file.read()


def name_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
