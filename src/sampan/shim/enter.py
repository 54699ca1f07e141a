"""Make a container's root file system our own root, for the rest of this process's life."""

from __future__ import annotations

import contextlib
import os
import stat

from sampan.kit import errors
from sampan.linux import _libc, files, mount, namespaces
from sampan.runtime import options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from sampan.shim.protocol import Archive, Message

_OPEN_TREE_CLONE = 1
_AT_FDCWD = -100
_OUR_USERS = os.stat("/proc/self/ns/user")


class ContainerGone(errors.Conflict): ...


def root_of(request: Archive) -> None:
    """With a PID: all that this process sees; for an export only the root file system itself."""
    if request.pid is None:
        _mount_own(request)
    else:
        _join(request.pid)
        if request.action == "export":
            _leave_submounts()


def _join(pid: int) -> None:
    try:
        root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        namespace = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        users = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as gone:
        raise ContainerGone(f"process {pid} of the container is gone") from gone
    namespaces.setns(namespace, namespaces.CLONE.NEWNS)
    os.fchdir(root)
    _root_here()
    if not os.path.samestat(os.fstat(users), _OUR_USERS):
        # Owners are as the container sees them, and only from there can files be made in it
        namespaces.setns(users, namespaces.CLONE.NEWUSER)
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    for fd in (root, namespace, users):
        os.close(fd)


def _leave_submounts() -> None:
    """A copy of the root mount alone, open_tree(2): directories are seen as before they were
    covered by volumes, /proc or /dev."""
    copy = _libc.open_tree(_AT_FDCWD, b"/", _OPEN_TREE_CLONE | os.O_CLOEXEC, path="/")
    os.fchdir(copy)
    _root_here()
    os.close(copy)


def _mount_own(request: Archive) -> None:
    namespaces.unshare(namespaces.CLONE.NEWNS)
    mount.mount(None, "/", flags=mount.MS.REC | mount.MS.PRIVATE)
    root = [layer for layer in request.rootfs if layer.get("destination", "/") == "/"]
    # Taken while the host's paths can be seen, put where the container's paths say.
    trees = [
        (mount.open_tree(item["source"], mount.OPEN_TREE.CLONE | mount.AT_RECURSIVE), item)
        for item in request.rootfs
        if item not in root
    ]
    mount_rootfs(root, request.root_path)
    os.chdir(request.root_path)
    _root_here()
    top = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if request.directory:
        with contextlib.suppress(OSError):  # the start will say what is wrong with it
            os.close(files.make_dirs(top, request.directory))
    for tree, item in trees:
        if "ro" in item["options"]:
            mount.set_attributes(tree, mount.MOUNT_ATTR.RDONLY, recursive=True)
        is_directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        make = files.make_dirs if is_directory else files.make_file
        place = make(top, item["destination"])
        mount.move_mount(tree, place)
        os.close(place)
        os.close(tree)
    if request.readonly:
        mount.set_attributes(top, mount.MOUNT_ATTR.RDONLY)
    os.close(top)


def mount_rootfs(layers: Iterable[Message], place: str) -> None:
    """The mounts that make up a root file system, in this namespace."""
    for layer in layers:
        chosen = options.parse(tuple(layer.get("options") or ()))
        mount.mount(
            layer.get("source") or "none",
            place,
            layer.get("type") or None,
            chosen.flags,
            ",".join(chosen.data) or None,
        )


def _root_here() -> None:
    os.chroot(".")
    os.chdir("/")
