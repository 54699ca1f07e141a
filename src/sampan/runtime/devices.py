"""/dev of a container: the devices and links that the specification promises, and its console.

All of it is made relative to one descriptor of the container's /dev, which may not be a symbolic
link: else an image could have the nodes made on the host (CVE-2026-41579).
"""

from __future__ import annotations

import os
import stat

from sampan.kit.record import Record
from sampan.linux import files, mount, pty
from sampan.linux.mount import MOUNT_ATTR
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.plan import Plan
    from sampan.spec import oci_runtime

_DEVPTS_SUPER_MAGIC, _PTMX_INODE = 0x1CD1, 2
_LINKS = (
    ("/proc/kcore", "core"),  # only where this kernel has it
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
)


class DevicePlan(Record):
    path: str
    mode: int  # type and permissions, as mknod(2) takes them
    major: int
    minor: int
    uid: int = 0
    gid: int = 0


_DEFAULT_DEVICES = tuple(
    DevicePlan(path=f"/dev/{name}", mode=stat.S_IFCHR | 0o666, major=major, minor=minor)
    for name, major, minor in (
        *(("null", 1, 3), ("zero", 1, 5), ("full", 1, 7)),
        *(("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)),
    )
)
_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def plan(devices: tuple[oci_runtime.Device, ...]) -> tuple[DevicePlan, ...]:
    own = []
    for device in devices:
        kind = _KINDS.get(device.type)
        if kind is None:
            raise errors.InvalidConfig(
                f"linux.devices: {device.path} has type {device.type!r}; c, b, u and p are known"
            )
        permissions = 0o666 if device.file_mode is None else device.file_mode & 0o7777
        own.append(
            DevicePlan(
                path=os.path.normpath(device.path),
                mode=kind | permissions,
                major=device.major,
                minor=device.minor,
                uid=device.uid,
                gid=device.gid,
            )
        )
    named = {device.path for device in own}
    return (*(d for d in _DEFAULT_DEVICES if d.path not in named), *own)


def open_null() -> int:
    """The host's /dev/null as O_PATH, and certainly that: it will cover the container's secrets."""
    null = os.open("/dev/null", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    found = os.fstat(null)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(1, 3):
        raise errors.NotPermitted("/dev/null of this host is not the null device")
    return null


def populate(plan: Plan, root: int) -> None:
    """Make the devices and links, unless the container has the host's own /dev."""
    if plan.host_dev:
        return
    try:
        dev = files.make_dirs(root, "/dev", resolve=files.RESOLVE.NO_SYMLINKS)
    except OSError as error:
        raise errors.UnsafePath("/dev of the image must be a real directory") from error
    old = os.umask(0)
    for device in plan.devices:
        if device.path != "/dev/ptmx":  # that is a link into the container's own devpts
            _make_device(plan, root, dev, device)
    os.umask(old)
    for target, name in _LINKS if os.path.exists("/proc/kcore") else _LINKS[1:]:
        _link(target, name, dev)
    os.close(dev)


def _make_device(plan: Plan, root: int, dev: int, device: DevicePlan) -> None:
    parent, name = dev, device.path.removeprefix("/dev/")
    if "/" in name:
        head, _, name = device.path.rpartition("/")
        parent = files.make_dirs(root, head, resolve=files.RESOLVE.NO_SYMLINKS)
    try:
        if plan.user_namespace:  # mknod(2) is not for user namespaces: bind the host's node
            _bind_device(parent, name, device.path)
            return
        _mknod(parent, name, device)
    finally:
        if parent != dev:
            os.close(parent)


def _mknod(parent: int, name: str, device: DevicePlan) -> None:
    number = os.makedev(device.major, device.minor)
    try:
        os.mknod(name, device.mode, number, dir_fd=parent)
    except FileExistsError:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        same = stat.S_IFMT(found.st_mode) == stat.S_IFMT(device.mode)
        if not same or (found.st_rdev != number and not stat.S_ISFIFO(device.mode)):
            raise errors.InvalidConfig(
                f"device {device.path} exists in the image and is something else"
            ) from None
        return
    except PermissionError:
        _bind_device(parent, name, device.path)
        return
    if device.uid or device.gid:
        os.chown(name, device.uid, device.gid, dir_fd=parent, follow_symlinks=False)


def _bind_device(parent: int, name: str, source: str) -> None:
    place = files.make_file(parent, name, resolve=files.RESOLVE.NO_SYMLINKS)
    try:
        os.close(mount.bind(source, place, prepare=_only_a_device))
    except OSError as error:
        raise errors.NotPermitted(
            f"device {source} can neither be made nor bound from the host: {errors.reason(error)}"
        ) from error
    finally:
        os.close(place)


def _only_a_device(tree: int) -> None:
    mount.set_attributes(tree, MOUNT_ATTR.NOSUID | MOUNT_ATTR.NOEXEC)


def _link(target: str, name: str, dev: int) -> None:
    try:
        os.symlink(target, name, dir_fd=dev)
    except FileExistsError:
        if name == "ptmx":  # a plain node would be the host's terminal multiplexer
            try:
                if os.readlink(name, dir_fd=dev) == target:
                    return
            except OSError:
                pass
            os.unlink(name, dir_fd=dev)
            os.symlink(target, name, dir_fd=dev)


def open_console() -> tuple[int, int, str]:
    """A terminal of the container's own devpts; called after the pivot. (master, slave, name)"""
    try:
        found = files.openat2(
            -100, "/dev/pts/ptmx", os.O_PATH | os.O_NOFOLLOW, 0, files.RESOLVE.NO_SYMLINKS
        )
    except OSError as error:
        raise errors.UnsafePath(
            f"/dev/pts/ptmx of the container is no terminal multiplexer: {errors.reason(error)}"
        ) from error
    try:
        found_here = os.fstat(found)
        if (
            found_here.st_rdev != os.makedev(5, 2)
            or found_here.st_ino != _PTMX_INODE
            or files.filesystem(found) != _DEVPTS_SUPER_MAGIC
        ):
            raise errors.UnsafePath("/dev/pts/ptmx of the container is no terminal multiplexer")
        return pty.open_pair(found)
    finally:
        os.close(found)


def mount_console(slave: int) -> None:
    """Show the terminal as /dev/console; both sides by descriptor (CVE-2025-52565)."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
    dev = os.open("/dev", os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        place = os.open("console", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dev)
    except FileNotFoundError:
        os.close(os.open("console", flags | os.O_EXCL, 0o666, dir_fd=dev))
        place = os.open("console", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=dev)
    if stat.S_ISLNK(os.fstat(place).st_mode):
        raise errors.UnsafePath("/dev/console of the image is a symbolic link")
    shown = mount.bind(slave, place)
    for fd in (shown, place, dev):
        os.close(fd)
