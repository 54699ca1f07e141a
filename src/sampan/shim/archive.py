"""Docker's cp and export, by a child of the spawner that looks at the files from inside.

It enters the container's mount namespace (or mounts the root file system of a stopped one in a
namespace of its own) and makes it its root *before* it touches a path, so no symbolic link, however
it changes meanwhile, leads out (CVE-2018-15664, CVE-2019-14271: nothing is loaded afterwards).

    stat    → {"ok", "stat": {name, size, mode, mtime, linkTarget}}
    get     → the same, then the tar on the descriptor, then {"ok"}; "dir/." gives its content only
    put     tar from the descriptor into a directory → {"ok"}
    export  → the root file system without what is mounted in it, then {"ok"}

`mode` has the bits of Go's os.FileMode.
"""

from __future__ import annotations

import os
import stat as modes

from sampan.kit import clock, errors
from sampan.linux import unix
from sampan.shim import enter, parsing, protocol, tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from sampan.shim.protocol import Archive, Message

_GO_KINDS = {  # io/fs.FileMode
    modes.S_IFDIR: 1 << 31,
    modes.S_IFLNK: 1 << 27,
    modes.S_IFBLK: 1 << 26,
    modes.S_IFIFO: 1 << 25,
    modes.S_IFSOCK: 1 << 24,
    modes.S_IFCHR: 1 << 26 | 1 << 21,
    modes.S_IFREG: 0,
}
_GO_BITS = {modes.S_ISUID: 1 << 23, modes.S_ISGID: 1 << 22, modes.S_ISVTX: 1 << 20}


class PathNotFound(errors.NotFound): ...


class NotADirectory(errors.InvalidArgument): ...


def prime() -> None:
    """In the spawner: have everything imported."""


def run(connection: socket.socket, message: Message, fds: list[int]) -> None:
    """In a fresh child of the spawner: answer one `archive` request."""
    try:
        request = parsing.archive(message)
        if request.action != "stat" and not fds:
            raise errors.InvalidArgument(f"archive {request.action} needs a descriptor")
        enter.root_of(request)
        answer = _ACTIONS[request.action](connection, request, fds)
    except (errors.SampanError, OSError, ValueError) as failure:
        answer = protocol.error(_translated(failure))
    unix.send(connection, answer)


def _stat(_connection: socket.socket, request: Archive, _fds: list[int]) -> Message:
    return protocol.ok(stat=describe(request.path))


def _get(connection: socket.socket, request: Archive, fds: list[int]) -> Message:
    unix.send(connection, protocol.ok(stat=describe(request.path)))
    path = resolve(request.path)
    tree.write(fds[0], path, _top(request.path, path))
    return protocol.ok()


def _top(asked: str, found: str) -> str:
    """What the archive's first member is called: clients replace just that, as they know it from
    what they asked for. "/." and "" are contents only, "/" is a slash."""
    last = asked.rstrip("/").rpartition("/")[2]
    if not last:
        return "/" if asked else "."
    return os.path.basename(found) or "/" if last == ".." else last


def _put(_connection: socket.socket, request: Archive, fds: list[int]) -> Message:
    directory = os.path.realpath(_absolute(request.path))
    if not os.path.isdir(directory):
        os.stat(directory)
        raise NotADirectory(f"extraction point {request.path} is not a directory")
    if os.statvfs(directory).f_flag & os.ST_RDONLY:
        on_root = os.stat(directory).st_dev == os.stat("/").st_dev
        what = "container rootfs" if on_root else "mounted volume"
        raise errors.InvalidArgument(f"{what} is marked read-only")
    tree.read(
        fds[0],
        directory,
        keep_kinds=request.no_overwrite_dir_non_dir,
        owner=request.owner,
    )
    return protocol.ok()


def _export(_connection: socket.socket, _request: Archive, fds: list[int]) -> Message:
    tree.write(fds[0], "/", "")
    return protocol.ok()


_ACTIONS = {"stat": _stat, "get": _get, "put": _put, "export": _export}


def describe(path: str) -> Message:
    """A path as Docker's `X-Docker-Container-Path-Stat` has it; the path's last link is not
    followed, but shown, resolved to its end."""
    found = resolve(path)
    status = os.lstat(found)
    is_link = modes.S_ISLNK(status.st_mode)
    return {
        "name": os.path.basename(found) or "/",
        "size": status.st_size,
        "mode": go_mode(status.st_mode),
        "mtime": clock.rfc3339(status.st_mtime_ns),
        "linkTarget": os.path.realpath(found) if is_link else "",
    }


def resolve(path: str) -> str:
    """Links are followed except in the last place; with a trailing `/` or `/.` there as well.

    Raises FileNotFoundError, NotADirectoryError.
    """
    path = _absolute(path)
    directory, _, last = path.rpartition("/")
    if last not in ("", ".", ".."):
        found = os.path.join(os.path.realpath(directory or "/"), last)
        os.lstat(found)
        return found
    found = os.path.realpath(path)
    if not modes.S_ISDIR(os.stat(found).st_mode):
        raise NotADirectory(f"{path} is not a directory")
    return found


def go_mode(mode: int) -> int:
    bits = modes.S_IMODE(mode) & 0o777 | _GO_KINDS.get(modes.S_IFMT(mode), 1 << 19)
    for ours, gos in _GO_BITS.items():
        if mode & ours:
            bits |= gos
    return bits


def _absolute(path: str) -> str:
    return "/" + path.lstrip("/")


def _translated(failure: BaseException) -> BaseException:
    """The kernel's words about a path, as one of the six kinds."""
    if isinstance(failure, FileNotFoundError):
        return PathNotFound(f"no such file or directory in the container: {failure.filename}")
    if isinstance(failure, NotADirectoryError):
        return NotADirectory(f"not a directory: {failure.filename}")
    return failure
