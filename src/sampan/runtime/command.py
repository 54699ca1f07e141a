"""Find the command in the container and become it; errors in the words that Docker's users know."""

from __future__ import annotations

import errno
import os
import stat

from sampan.linux import files
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(name: str, environment: dict[str, str]) -> str:
    """The path that execve(2) gets: `name` itself if it has a slash, else the first in PATH."""
    if "/" in name:
        _check(name, name)
        return name
    refused = None
    for directory in environment.get("PATH", _PATH).split(":"):
        path = os.path.join(directory or ".", name)
        try:
            _check(name, path)
        except errors.CommandNotFound:
            continue
        except errors.CommandNotExecutable as error:
            refused = refused or error
            continue
        return path
    raise refused or errors.CommandNotFound(f'exec: "{name}": executable file not found in $PATH')


def _check(name: str, path: str) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        kind = errors.CommandNotExecutable
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            kind = errors.CommandNotFound  # type: ignore[assignment]
        reason = errors.reason(error).lower()
        raise kind(f'exec: "{name}": stat {path}: {reason}') from None
    if stat.S_ISDIR(mode):
        raise errors.CommandNotExecutable(f'exec: "{name}": is a directory')
    # the real ids are the effective ones by now; faccessat2(2) is unknown to older seccomp profiles
    if not os.access(path, os.X_OK) and not (mode & 0o111 and files.executable(path)):
        raise errors.CommandNotExecutable(f'exec: "{name}": permission denied')


def execute(path: str, args: tuple[str, ...], environment: dict[str, str]) -> NoReturn:
    try:
        os.execve(path, args, environment)
    except OSError as error:
        reason = errors.reason(error).lower()
        if error.errno == errno.ENOENT:  # the file is there: what its first line names is not
            raise errors.CommandNotFound(f"exec {path}: {reason}") from None
        raise errors.CommandNotExecutable(f"exec {path}: {reason}") from None


def home(uid: int) -> str:
    """The home directory of `uid` by the container's /etc/passwd, else `/`."""
    try:
        with open("/etc/passwd", encoding="utf-8", errors="replace") as file:
            for line in file:
                parts = line.rstrip("\n").split(":")
                if len(parts) > 5 and parts[2] == str(uid):
                    return parts[5] or "/"
    except OSError:
        pass
    return "/"
