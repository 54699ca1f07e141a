"""The container's root file system, made inside its own mount namespace.

The child calls `prepare` (root and mounts), then, after hooks and `masks.cover`, one of `pivot`,
`move` and `chroot`, then `finish`. Everything is reached through a descriptor of the new root.
"""

from __future__ import annotations

import errno
import os

from sampan.linux import files, mount
from sampan.linux.mount import MNT, MOUNT_ATTR, MS
from sampan.runtime import errors, mounts
from sampan.runtime import options as mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.enter import LateCgroups
    from sampan.runtime.mount_plan import MountPlan
    from sampan.runtime.mounts import Sources
    from sampan.runtime.plan import Plan

_ROOT = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def prepare(plan: Plan, sources: Sources, cgroups: LateCgroups) -> tuple[int, list[int]]:
    """Mount the root file system and all of config.mounts.

    Returns a descriptor of the new root and those of the mounts that `finish` makes read-only.
    """
    if plan.own_mounts:
        _set_host_propagation(plan)
    root = _mount_root(plan, sources)
    mounter = mounts.Mounter(plan, root, sources, cgroups)
    for item in plan.mounts:
        mounter.make(item)
    return root, mounter.later


def _set_host_propagation(plan: Plan) -> None:
    wanted = mount_options.PROPAGATION.get(plan.propagation, MS.SLAVE | MS.REC)
    mount.mount(None, "/", None, wanted)
    if wanted & (MS.SLAVE | MS.REC) == MS.SLAVE | MS.REC and not plan.propagation:
        return  # nothing is shared any more
    keep_from_host(plan.root, MS.SLAVE if wanted & MS.SLAVE else MS.PRIVATE)


def keep_from_host(place: str, propagation: int = MS.PRIVATE) -> None:
    """What this mount namespace mounts at `place` is not seen in others: pivot_root(2) refuses a
    new root whose parent is shared, and what we mount would leak into it."""
    while True:
        try:
            mount.mount(None, place, None, propagation)
            return
        except OSError as error:
            if error.errno != errno.EINVAL or place == "/":  # EINVAL: no mount point
                raise
        place = os.path.dirname(place)


def _mount_root(plan: Plan, sources: Sources) -> int:
    try:
        try:
            place = os.open(plan.root, _ROOT)
        except PermissionError:
            if not plan.user_namespace:
                raise
            place = sources(None)  # a parent of it is closed to the container's root
    except OSError as error:
        raise errors.InvalidConfig(
            f"root.path {plan.root} is not a directory: {errors.reason(error)}"
        ) from error
    if not plan.rootfs:
        tree = mount.bind(place, place, recursive=True)
        os.close(place)
        _keep_to_itself(plan, tree)
        return tree
    root = -1
    for item in plan.rootfs:
        try:
            root = _attach(place, item, sources)
        except OSError as error:
            raise mounts.failed(item, error) from error
    os.close(place)
    if root < 0:
        root = os.open(plan.root, _ROOT)
    _keep_to_itself(plan, root)
    return root


def _keep_to_itself(plan: Plan, root: int) -> None:
    """The root gets no mounts of the host's, unless it is asked to be a slave."""
    if mount_options.PROPAGATION.get(plan.propagation, 0) & MS.SLAVE:
        return
    mount.set_attributes(root, propagation=MS.PRIVATE)


def _attach(place: int, item: MountPlan, sources: Sources) -> int:
    """One of the mounts that make up the root itself, such as an engine's overlay; its descriptor,
    or -1."""
    flags = item.options.flags
    if item.options.idmap:  # its files' owners are not what they are on the disk
        tree = sources(item)
        mount.move_mount(tree, place)
        return tree
    if flags & MS.BIND:
        set_, clear = mount_options.bind_attributes(item.options)
        tree = mount.bind(item.source, place, recursive=bool(flags & MS.REC))
        if set_ or clear:
            mount.set_attributes(tree, set_, clear)
    else:
        data = ",".join(item.options.data)
        tree = mounts.mount_filesystem(place, item, flags, data, user_namespace=False)
    if tree >= 0:
        os.close(tree)
    return -1


def pivot(root: int) -> None:
    """Make `root` the root of this namespace and let go of the host's file systems."""
    old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    os.fchdir(root)
    mount.pivot_root(".", ".")
    # The old root now lies over the new one, which is what "." still means
    os.fchdir(old)
    mount.mount(None, ".", None, MS.SLAVE | MS.REC)  # its end must not reach the host
    mount.umount(".", MNT.DETACH)
    os.close(old)
    os.chdir("/")


def move(root: int) -> None:
    """What `--no-pivot` asks for (an initial ramdisk cannot be pivoted away).

    The host's mounts stay in the namespace, out of reach but not of mind: the kernel lets a user
    namespace mount proc or sysfs anew wherever it finds a complete one. So those go first.
    """
    own = os.readlink(files.magic(root)).rstrip("/") + "/"
    for place in _complete_pseudo_filesystems():
        if not (place + "/").startswith(own):
            _cover(place)
    os.fchdir(root)
    mount.mount(".", "/", None, MS.MOVE)
    os.chroot(".")
    os.chdir("/")


def _complete_pseudo_filesystems() -> list[str]:
    found = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            fields = before.split()
            if fields[3] == "/" and after.split(None, 1)[0] in ("proc", "sysfs"):
                found.append(_unescaped(fields[4]))
    return found


def _unescaped(path: str) -> str:
    for code, char in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
        path = path.replace("\\" + code, char)
    return path


def _cover(place: str) -> None:
    try:
        mount.mount(None, place, None, MS.SLAVE | MS.REC)
    except FileNotFoundError:  # it went with what it was mounted on
        return
    try:
        mount.umount(place, MNT.DETACH)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        mount.mount("tmpfs", place, "tmpfs", 0, "")  # locked (a user namespace): over it, then


def chroot(root: int) -> None:
    """Without a mount namespace of its own: the mounts stay where they are, as with runc."""
    os.fchdir(root)
    os.chroot(".")
    os.chdir("/")


def finish(plan: Plan, later: list[int]) -> None:
    """After the pivot: the root's own attributes, and what had to stay writable until now."""
    propagation = mount_options.PROPAGATION.get(plan.propagation, 0)
    if propagation & (MS.SHARED | MS.UNBINDABLE):
        mount.mount(None, "/", None, propagation)
    for tree in later:
        mount.set_attributes(tree, MOUNT_ATTR.RDONLY)
        os.close(tree)
    if plan.root_readonly:
        root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mount.set_attributes(root, MOUNT_ATTR.RDONLY)
        os.close(root)
