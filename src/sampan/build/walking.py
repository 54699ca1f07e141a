"""The files of a directory that a build gets: all of them, less what `.dockerignore` names."""

from __future__ import annotations

import os
import stat

from sampan.build import ignore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def ignore_file(directory: str, dockerfile: str) -> str | None:
    """The text of the Dockerfile's own `.dockerignore`, or else of the directory's."""
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        try:
            with open(f"{directory}/{name}", errors="surrogateescape") as file:
                return file.read()
        except FileNotFoundError:
            continue
    return None


def matcher(directory: str, dockerfile: str) -> ignore.Matcher:
    return ignore.Matcher(ignore.read(ignore_file(directory, dockerfile) or ""))


def needed(dockerfile: str) -> set[str]:
    """What the engine reads, whatever `.dockerignore` says."""
    return {dockerfile, f"{dockerfile}.dockerignore", ".dockerignore"}


def walk(
    directory: str, matcher: ignore.Matcher, kept: Collection[str] = ()
) -> Iterator[tuple[str, str, os.stat_result]]:
    """Name, place and status of each file, directories before what is in them, in order of names.

    `name` is relative to the directory. `place` is a path that no link swapped in meanwhile leads
    astray, good until the next one is asked for. Sockets are left out. What nothing can come back
    from is not looked into. OSError has the file's path.
    """
    top = os.open(directory, _DIRECTORY & ~os.O_NOFOLLOW)
    return _walk(directory, top, "", matcher, kept)


def _walk(
    directory: str, fd: int, under: str, matcher: ignore.Matcher, kept: Collection[str]
) -> Iterator[tuple[str, str, os.stat_result]]:
    try:
        with os.scandir(fd) as found:
            children = sorted(found, key=lambda child: child.name)
        for child in children:
            name = f"{under}{child.name}"
            try:
                status = child.stat(follow_symlinks=False)
                if stat.S_ISSOCK(status.st_mode):
                    continue
                ignored = matcher.ignores(name) and name not in kept
                if not ignored:
                    yield name, f"/proc/self/fd/{fd}/{child.name}", status
                if not stat.S_ISDIR(status.st_mode):
                    continue
                wanted = any(path.startswith(f"{name}/") for path in kept)
                if ignored and not wanted and matcher.prunes(name):
                    continue
                below = os.open(child.name, _DIRECTORY, dir_fd=fd)
            except OSError as error:
                raise OSError(error.errno, error.strerror, f"{directory}/{name}") from error
            yield from _walk(directory, below, f"{name}/", matcher, kept)
    finally:
        os.close(fd)
