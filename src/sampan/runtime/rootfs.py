"""The container's file system, made inside its own mount namespace.

Everything is reached through descriptors that were opened inside the root (openat2,
RESOLVE_IN_ROOT): a destination is opened once, checked and mounted on by its descriptor, so that no
symbolic link of the image and no race in a shared volume can move a mount, directory or device node
onto the host. The child calls `prepare`, then `pivot`, then `finish`.
"""

from __future__ import annotations

import errno
import os
import stat

from sampan.linux import files, mount
from sampan.linux.mount import AT_RECURSIVE, MNT, MOUNT_ATTR, MS, OPEN_TREE
from sampan.runtime import cgroup_mount, errors
from sampan.runtime import options as mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.plan import MountPlan, Plan

# What a container may cover inside /proc: all of it only informs (the list that lxcfs needs).
_OVER_PROC = frozenset(
    "/proc/" + name
    for name in (
        *("cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"),
        *("sys/kernel/ns_last_pid", "sys/crypto/fips_enabled"),
    )
)


def prepare(plan: Plan) -> int:
    """Mount the root file system and all of config.mounts; a descriptor of the new root."""
    _set_host_propagation(plan)
    root = _mount_root(plan)
    for item in plan.mounts:
        try:
            _mount_one(plan, root, item)
        except OSError as error:
            raise _failed(item, error) from error
    return root


def _set_host_propagation(plan: Plan) -> None:
    wanted = mount_options.PROPAGATION.get(plan.propagation, MS.SLAVE | MS.REC)
    mount.mount(None, "/", None, wanted)
    if wanted & MS.SHARED:  # pivot_root(2) refuses a new root whose parent is shared
        place = os.path.dirname(plan.root)
        while not os.path.ismount(place):
            place = os.path.dirname(place)
        mount.mount(None, place, None, MS.PRIVATE)


def _mount_root(plan: Plan) -> int:
    flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        place = os.open(plan.root, flags)
    except OSError as error:
        raise errors.InvalidConfig(
            f"root.path {plan.root} is not a directory: {errors.reason(error)}"
        ) from error
    if not plan.rootfs:
        tree = mount.open_tree(place, OPEN_TREE.CLONE | AT_RECURSIVE)
        mount.move_mount(tree, place)
        os.close(place)
        mount.set_attributes(tree, propagation=MS.PRIVATE)
        return tree
    for item in plan.rootfs:
        try:
            _attach(plan, place, item)
        except OSError as error:
            raise _failed(item, error) from error
    os.close(place)
    root = os.open(plan.root, flags)
    mount.set_attributes(root, propagation=MS.PRIVATE)
    return root


def _mount_one(plan: Plan, root: int, item: MountPlan) -> None:
    if item.options.flags & MS.BIND:
        _bind(plan, root, item)
        return
    # proc and sysfs are what later writes trust: no link may decide where they are
    strict = files.RESOLVE.NO_SYMLINKS if item.type in ("proc", "sysfs") else 0
    try:
        place = files.make_dirs(root, item.destination, resolve=strict)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR) and strict:
            raise errors.UnsafePath(
                f"{item.destination} of the image must be a real directory to mount {item.type} on"
            ) from error
        raise
    try:
        _check_proc(root, place, item)
        if item.type == "cgroup":
            cgroup_mount.mount_all(place, item.options, own_namespace=plan.own_cgroup_namespace)
        else:
            _attach(plan, place, item)
    finally:
        os.close(place)


def _bind(plan: Plan, root: int, item: MountPlan) -> None:
    recursive = AT_RECURSIVE if item.options.flags & MS.REC else 0
    tree = mount.open_tree(item.source, OPEN_TREE.CLONE | recursive)
    try:
        is_dir = stat.S_ISDIR(os.fstat(tree).st_mode)
        make = files.make_dirs if is_dir else files.make_file
        place = make(root, item.destination)
        try:
            _check_proc(root, place, item)
            _set_attributes(tree, item)
            mount.move_mount(tree, place)
        finally:
            os.close(place)
        for flags in item.options.propagation or (MS.PRIVATE | MS.REC,):
            mount.set_attributes(tree, propagation=flags & ~MS.REC, recursive=bool(flags & MS.REC))
    finally:
        os.close(tree)


def _set_attributes(tree: int, item: MountPlan) -> None:
    chosen = item.options
    if chosen.set_ or chosen.clear:
        mount.set_attributes(tree, chosen.set_, chosen.clear)
    if chosen.recursive_set or chosen.recursive_clear:
        mount.set_attributes(tree, chosen.recursive_set, chosen.recursive_clear, recursive=True)


def _attach(plan: Plan, place: int, item: MountPlan) -> None:
    """Mount a file system (or, for a root, a bind) on the place behind a descriptor."""
    chosen, path = item.options, files.magic(place)
    if chosen.flags & MS.BIND:
        tree = mount.open_tree(
            item.source, OPEN_TREE.CLONE | (AT_RECURSIVE if chosen.flags & MS.REC else 0)
        )
        _set_attributes(tree, item)
        mount.move_mount(tree, place)
        os.close(tree)
        return
    data = ",".join(chosen.data)
    if item.type == "overlay" and len(data) > 4000:
        _overlay(place, item)  # mount(2) takes one page of options
        return
    try:
        mount.mount(item.source or item.type, path, item.type, chosen.flags, data)
    except OSError as error:
        if item.type != "sysfs" or error.errno != errno.EPERM or not plan.user_namespace:
            raise
        # a user namespace may mount sysfs only where it also owns the network namespace
        tree = mount.open_tree("/sys", OPEN_TREE.CLONE | AT_RECURSIVE)
        mount.set_attributes(tree, MOUNT_ATTR.RDONLY, recursive=True)
        mount.move_mount(tree, place)
        os.close(tree)
    for flags in chosen.propagation:
        mount.mount(None, path, None, flags)


def _overlay(place: int, item: MountPlan) -> None:
    """An overlay of any number of layers: each is a parameter of its own (Linux 6.7)."""
    filesystem = mount.Filesystem("overlay")
    filesystem.set("source", item.source or "overlay")
    for option in item.options.data:
        key, _, value = option.partition("=")
        if key == "lowerdir":
            for layer in value.split(":"):
                filesystem.set("lowerdir+", layer)
        else:
            filesystem.set(key, value or None)
    tree = filesystem.mount(item.options.set_)
    mount.move_mount(tree, place)
    os.close(tree)


def _check_proc(root: int, place: int, item: MountPlan) -> None:
    """Refuse to cover /proc: what is written there later must reach the kernel (CVE-2019-16884)."""
    real = os.readlink(files.magic(place))
    top = os.readlink(files.magic(root)).rstrip("/")
    inside = real.removeprefix(top)
    if not (inside + "/").startswith("/proc/"):
        return
    if inside == "/proc":
        if item.type == "proc" or (item.options.flags & MS.BIND and item.source == "/proc"):
            return
        raise errors.UnsafePath(
            f"only proc may be mounted at /proc, not {item.source or item.type}"
        )
    if inside not in _OVER_PROC:
        raise errors.UnsafePath(f"{item.destination} is inside /proc and may not be mounted over")


def _failed(item: MountPlan, error: OSError) -> errors.MountFailed:
    reason = errors.reason(error)
    if error.filename and error.filename not in (item.source, item.destination):
        reason = f"{error.filename}: {reason}"
    details = "; ".join(note for note in getattr(error, "__notes__", ()) if note)
    return errors.MountFailed(
        f'error mounting "{item.source or item.type}" to rootfs at "{item.destination or "/"}": '
        f"{reason}" + (f" ({details})" if details else "")
    )


def pivot(root: int) -> None:
    """Make `root` the root of this namespace and let go of the host's file systems."""
    os.fchdir(root)
    mount.pivot_root(".", ".")
    # The old root now lies over ".": nothing that happens to it may reach the host
    mount.mount(None, ".", None, MS.SLAVE | MS.REC)
    mount.umount(".", MNT.DETACH)
    os.chdir("/")


def change_root(root: int) -> None:
    """What `--no-pivot` asks for (an initial ramdisk cannot be pivoted away)."""
    os.fchdir(root)
    tree = mount.open_tree(".", 0)
    mount.mount(".", "/", None, MS.MOVE)
    os.close(tree)
    os.chroot(".")
    os.chdir("/")


def cover(plan: Plan, root: int, null: int) -> None:
    """Read-only and masked paths; before the pivot, because only our own mounts can be copied."""
    for path in plan.readonly_paths:
        _make_readonly(root, path)
    _mask(root, plan.masked_paths, null)


def finish(plan: Plan) -> None:
    """After the pivot: the root's own attributes."""
    if plan.propagation:
        mount.mount(None, "/", None, mount_options.PROPAGATION[plan.propagation])
    if plan.root_readonly:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mount.set_attributes(root, MOUNT_ATTR.RDONLY)
        os.close(root)


def _make_readonly(root: int, path: str) -> None:
    try:
        place = files.open_in_root(root, path)
    except (FileNotFoundError, NotADirectoryError):
        return
    tree = mount.open_tree(place, OPEN_TREE.CLONE | AT_RECURSIVE)
    mount.set_attributes(tree, MOUNT_ATTR.RDONLY)
    _show(tree, place)


def _mask(root: int, paths: tuple[str, ...], null: int) -> None:
    """Cover directories with one shared empty read-only tmpfs, files with the host's /dev/null.

    `null` was opened on the host and checked: what the image calls /dev/null is not trusted
    (CVE-2025-31133).
    """
    empty = -1
    for path in paths:
        try:
            place = files.open_in_root(root, path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            _show(mount.open_tree(null, OPEN_TREE.CLONE), place)
        elif empty < 0:  # once it is attached it can be copied
            empty = _empty_directory()
            mount.move_mount(empty, place)
            os.close(place)
        else:
            _show(mount.open_tree(empty, OPEN_TREE.CLONE), place)
    if empty >= 0:
        os.close(empty)


def _show(tree: int, place: int) -> None:
    mount.move_mount(tree, place)
    os.close(tree)
    os.close(place)


def _empty_directory() -> int:
    filesystem = mount.Filesystem("tmpfs")
    for key, value in (("mode", "755"), ("nr_blocks", "1"), ("nr_inodes", "1")):
        filesystem.set(key, value)
    filesystem.set("ro")
    return filesystem.mount(MOUNT_ATTR.RDONLY | MOUNT_ATTR.NOSUID | MOUNT_ATTR.NODEV)
