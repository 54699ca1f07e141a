"""One mount of config.json, on a place inside the container's root.

The place is opened once inside the root, made if it is missing, checked, and mounted on by its
descriptor: no symbolic link of the image and no race in a shared volume can move a mount or a
directory onto the host. What only the caller's privilege can open comes from `sources`.
"""

from __future__ import annotations

import errno
import os
import stat

from sampan.linux import files, mount, overlay
from sampan.linux.mount import AT_RECURSIVE, MOUNT_ATTR, MS, OPEN_TREE
from sampan.runtime import attributes, cgroup_mount, errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.runtime.enter import LateCgroups
    from sampan.runtime.mount_plan import MountPlan
    from sampan.runtime.plan import Plan

    Sources = Callable[[MountPlan | None], int]  # None: the root's directory

_PROC_SUPER_MAGIC = 0x9FA0
# What a container may cover inside /proc: all of it only informs (the list that lxcfs needs).
_OVER_PROC = frozenset(
    "/proc/" + name
    for name in (
        *("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"),
        *("sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"),
    )
)


class Mounter:
    """Makes the mounts of one container; `later` is what becomes read-only at the very end."""

    def __init__(self, plan: Plan, root: int, sources: Sources, cgroups: LateCgroups) -> None:
        self._plan, self._root, self._sources, self._cgroups = plan, root, sources, cgroups
        self._top = os.readlink(files.magic(root)).rstrip("/")
        self.later: list[int] = []

    def make(self, item: MountPlan) -> None:
        try:
            if item.options.flags & MS.REMOUNT:
                self._remount(item)
            elif item.options.flags & MS.BIND:
                self._bind(item)
            else:
                self._new(item)
        except OSError as error:
            raise failed(item, error) from error

    def _remount(self, item: MountPlan) -> None:
        """New options for what is mounted at the destination already."""
        place = files.open_in_root(self._root, item.destination)
        try:
            self._check_inside(place, item)
            if item.options.flags & MS.BIND:
                attributes.apply(place, item)
            else:
                data = ",".join(item.options.data)
                mount.mount(item.source, files.magic(place), None, item.options.flags, data)
            attributes.propagate(place, item)
        finally:
            os.close(place)

    def _bind(self, item: MountPlan) -> None:
        tree = self._open(item)
        try:
            source: int | str = item.source if tree < 0 else tree
            mode = (os.stat(source) if tree < 0 else os.fstat(tree)).st_mode
            place = self._place(item, directory=stat.S_ISDIR(mode))
            try:
                self._check_proc(place, item, tree)
                self._show(tree, place, item)
            finally:
                os.close(place)
        finally:
            if tree >= 0:
                os.close(tree)

    def _show(self, tree: int, place: int, item: MountPlan) -> None:
        if tree >= 0:
            attributes.apply(tree, item)
            mount.move_mount(tree, place)
            attributes.propagate(tree, item)
            return
        recursive = bool(item.options.flags & MS.REC)
        shown = mount.bind(item.source, place, recursive=recursive)
        try:
            attributes.apply(shown, item)
            attributes.propagate(shown, item)
        finally:
            os.close(shown)

    def _open(self, item: MountPlan) -> int:
        """A detached copy of the source; -1 where the kernel has only mount(2)."""
        if item.options.idmap or item.holder:
            return self._sources(item)
        recursive = AT_RECURSIVE if item.options.flags & MS.REC else 0
        try:
            return mount.open_tree(item.source, OPEN_TREE.CLONE | recursive)
        except OSError as error:
            if error.errno == errno.ENOSYS:
                return -1
            if error.errno != errno.EACCES or not self._plan.user_namespace:
                raise
        return self._sources(item)

    def _new(self, item: MountPlan) -> None:
        place, data = self._prepared(item)
        try:
            self._check_proc(place, item, -1)
            if item.options.idmap:
                tree = self._sources(item)
                mount.move_mount(tree, place)
                os.close(tree)
            elif item.type == "cgroup":
                cgroup_mount.mount_all(
                    place,
                    item.options,
                    self._cgroups,
                    own_namespace=self._plan.own_cgroup_namespace,
                )
            elif item.options.copy_up:
                self._copy_up(place, item, data)
            else:
                self._attach(place, item, data)
        finally:
            os.close(place)

    def _prepared(self, item: MountPlan) -> tuple[int, str]:
        """(place, data): a tmpfs on a directory that exists takes over its permissions."""
        data = item.options.data
        if item.type == "tmpfs" and not any(option.startswith("mode=") for option in data):
            try:
                place = files.open_in_root(self._root, item.destination)
            except FileNotFoundError:
                pass
            else:
                mode = stat.S_IMODE(os.fstat(place).st_mode)
                return place, ",".join((*data, f"mode={mode:04o}"))
        return self._place(item, directory=True), ",".join(data)

    def _place(self, item: MountPlan, *, directory: bool) -> int:
        # proc and sysfs are what later writes trust: no link may decide where they are
        strict = files.RESOLVE.NO_SYMLINKS if item.type in ("proc", "sysfs") else 0
        make = files.make_dirs if directory else files.make_file
        try:
            place = make(self._root, item.destination, resolve=strict)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR) and strict:
                raise errors.UnsafePath(
                    f'filesystem "{item.type}" must be mounted on ordinary directory: '
                    f"{item.destination} of the image is none"
                ) from error
            raise
        self._check_inside(place, item)
        return place

    def _check_inside(self, place: int, item: MountPlan) -> None:
        path = os.readlink(files.magic(place))
        if path == (self._top or "/"):
            raise errors.UnsafePath(
                f"mountpoint {item.destination} is on the top of rootfs {self._top or '/'}"
            )
        if not path.startswith(self._top + "/"):
            raise errors.UnsafePath(f"mountpoint {item.destination} is outside of the rootfs")

    def _attach(self, place: int, item: MountPlan, data: str) -> None:
        delayed = item.options.flags & MS.RDONLY and (
            item.type == "tmpfs" or item.destination == "/dev"
        )
        flags = item.options.flags & ~MS.RDONLY if delayed else item.options.flags
        tree = mount_filesystem(place, item, flags, data, user_namespace=self._plan.user_namespace)
        needed = delayed or item.options.propagation or item.options.recursive_set
        if tree < 0 and needed:
            tree = mount.top(place)
        if tree < 0:
            return
        attributes.recursively(tree, item)
        attributes.propagate(tree, item)
        if delayed:  # what is mounted on it, and the devices, have to be made first
            self.later.append(tree)
        else:
            os.close(tree)

    def _copy_up(self, place: int, item: MountPlan, data: str) -> None:
        from sampan.runtime import copy_up  # was imported before the fork: `load_rare`

        delayed = item.options.flags & MS.RDONLY
        mount.mount(
            item.source or "tmpfs", files.magic(place), "tmpfs",
            item.options.flags & ~MS.RDONLY, data,
        )  # fmt: skip
        tree = mount.top(place)
        copy_up.copy(place, tree)
        attributes.propagate(tree, item)
        if delayed:
            self.later.append(tree)
        else:
            os.close(tree)

    def _check_proc(self, place: int, item: MountPlan, tree: int) -> None:
        """Refuse to cover /proc: what is written there must reach the kernel (CVE-2019-16884)."""
        inside = os.readlink(files.magic(place)).removeprefix(self._top)
        if not (inside + "/").startswith("/proc/"):
            return
        if inside == "/proc":
            if item.type == "proc" and not item.options.flags & MS.BIND:
                return
            if item.options.flags & MS.BIND and _is_proc(item.source, tree):
                return
            raise errors.UnsafePath(
                f'"{item.destination}" cannot be mounted because it is not of type proc '
                f"(but {item.source or item.type})"
            )
        if inside not in _OVER_PROC:
            raise errors.UnsafePath(
                f'"{item.destination}" cannot be mounted because it is inside /proc'
            )


def load_rare(plan: Plan) -> bool:
    """Import, in the caller, what only some containers need: after the fork nothing is imported.

    Returns whether a mount may need the caller (`sources`).
    """
    if plan.copies_up:
        from sampan.runtime import copy_up  # noqa: F401
    mounts = (*plan.rootfs, *plan.mounts)
    if plan.user_namespace or any(item.options.idmap or item.holder for item in mounts):
        from sampan.runtime import sources  # noqa: F401

        return True
    return False


def _is_proc(source: str, tree: int) -> bool:
    if tree >= 0:
        return files.filesystem(tree) == _PROC_SUPER_MAGIC
    fd = os.open(source, os.O_PATH | os.O_CLOEXEC)
    try:
        return files.filesystem(fd) == _PROC_SUPER_MAGIC
    finally:
        os.close(fd)


def mount_filesystem(
    place: int, item: MountPlan, flags: int, data: str, *, user_namespace: bool
) -> int:
    """Mount a file system on a place; its descriptor where one is at hand, else -1."""
    try:
        if item.type == "overlay" and len(data) > 4000:  # mount(2) takes one page of options
            overlay.mount(files.magic(place), item.options.data, flags)
            return -1
        mount.mount(item.source or item.type, files.magic(place), item.type, flags, data)
    except OSError as error:
        if item.type != "sysfs" or error.errno != errno.EPERM or not user_namespace:
            raise
        # a user namespace may mount sysfs only where it also owns the network namespace
        return mount.bind("/sys", place, recursive=True, prepare=_read_only)
    return -1


def _read_only(tree: int) -> None:
    mount.set_attributes(tree, MOUNT_ATTR.RDONLY, recursive=True)


def failed(item: MountPlan, error: OSError) -> errors.MountFailed:
    reason = errors.reason(error).lower()
    if error.filename and error.filename not in (item.source, item.destination):
        reason = f"{error.filename}: {reason}"
    details = "; ".join(note for note in getattr(error, "__notes__", ()) if note)
    return errors.MountFailed(
        f'error mounting "{item.source or item.type}" to rootfs at "{item.destination or "/"}": '
        f"{reason}" + (f" ({details})" if details else "")
    )
