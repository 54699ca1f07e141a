"""Mount sources that need more than a container's own process has: mapped ids, closed directories,
what only another container has mounted.

`open_ahead` makes, in the caller and before the clone, one user namespace for each mapping of
config.mounts (mounts with the same mapping share it): only its mappings are used (mount_setattr(2),
MOUNT_ATTR_IDMAP). Of a source in another mount namespace it takes a detached copy from there.
A container without a user namespace then opens the other sources itself (`own`). In a user
namespace it may not: `asked` sends the mount's number to the caller, which opens the source in the
container's mount namespace with the host's privilege (`Server`) and sends the descriptor back. So a
source may also lie on a mount that was made for the container just before.
"""

from __future__ import annotations

import contextlib
import errno
import os

from sampan.linux import files, mount, namespaces, process
from sampan.linux.mount import AT_RECURSIVE, MOUNT_ATTR, MS, OPEN_TREE
from sampan.linux.namespaces import CLONE
from sampan.runtime import channel as channels
from sampan.runtime import errors
from sampan.runtime import options as mount_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sampan.runtime.channel import Channel
    from sampan.runtime.mount_plan import IdMap, MountPlan
    from sampan.runtime.mounts import Sources
    from sampan.runtime.plan import Plan

    Held = dict[IdMap | MountPlan | None, int]


ROOT = "root"  # instead of a mount's number: the directory that becomes the root


def open_ahead(plan: Plan) -> Held:
    """A descriptor of a user namespace for each mapping (None stands for the container's own), and
    of a detached tree for each mount whose source lies in another mount namespace."""
    made: Held = {}
    for item in (*plan.rootfs, *plan.mounts):
        if item.options.idmap and item.idmap and item.idmap not in made:
            made[item.idmap] = _user_namespace(item)
    for item in plan.mounts:
        if item.holder:
            made[item] = _from_elsewhere(item)
    if plan.joins("user") >= 0:
        made[None] = os.dup(plan.joins("user"))
    return made


def _user_namespace(item: MountPlan) -> int:
    assert item.idmap is not None
    read, write = os.pipe()
    pid, pidfd = namespaces.clone3(CLONE.NEWUSER)
    if pid == 0:
        os.close(write)
        os.read(read, 1)  # until the mapping is written, or the caller is gone
        os._exit(0)
    try:
        for kind, triples in zip(("uid", "gid"), item.idmap, strict=True):
            namespaces.write_map(pid, kind, triples)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise errors.InvalidConfig(
            f"mount {item.destination}: its uidMappings and gidMappings were refused: "
            f"{errors.reason(error)}"
        ) from error
    finally:
        os.close(read)
        os.close(write)
        os.close(pidfd)
        os.waitpid(pid, 0)


def _from_elsewhere(item: MountPlan) -> int:
    """A detached copy of what lies in another mount namespace, which only its members may copy: a
    child of ours joins it. No link in there leads out of that process's root."""
    ours, theirs = channels.pair()
    helper = os.fork()
    if helper == 0:
        try:
            channels.send_descriptor(theirs.fd, "source", _copy(item))
        except OSError as error:
            theirs.send(str(error.errno))
        finally:
            os._exit(0)
    theirs.close()
    message, tree = channels.receive_descriptor(ours.fd)
    ours.close()
    os.waitpid(helper, 0)
    if tree < 0:
        reason = os.strerror(int(message)) if message else "its helper was killed"
        raise errors.MountFailed(
            f"cannot mount {item.source} at {item.destination}: process {item.holder}, in whose "
            f"mount namespace it lies, did not give it: {reason.lower()}"
        )
    return tree


def _copy(item: MountPlan) -> int:
    top = f"/proc/{item.holder}/root"
    root = os.open(top, os.O_PATH | os.O_DIRECTORY)
    namespaces.setns(os.open(f"/proc/{item.holder}/ns/mnt", os.O_RDONLY), CLONE.NEWNS)
    place = files.open_in_root(root, item.source.removeprefix(top))
    return mount.open_tree(place, OPEN_TREE.CLONE | _recursive(item))


def own(made: Held) -> Sources:
    """For a container whose process has the host's privilege."""

    def open_one(item: MountPlan | None) -> int:
        if item is None:  # it is asked for only after the same was refused
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return _open(item, made)

    return open_one


def asked(plan: Plan, channel: Channel) -> Sources:
    """For a container in a user namespace: the caller opens it."""

    def ask(item: MountPlan | None) -> int:
        channel.send("source", str(_mounts(plan).index(item)) if item else ROOT)
        message, fd = channels.receive_descriptor(channel.fd)
        if fd < 0:
            number = int(message) if message.isdecimal() else 0
            if not number:
                os._exit(1)  # the caller is gone
            raise OSError(number, os.strerror(number), item.source if item else plan.root)
        return fd

    return ask


class Server:
    """The caller's side: opens the source of a mount as the container sees it, and sends it."""

    def __init__(self, plan: Plan, pid: int, made: Held, channel: Channel) -> None:
        self._plan, self._pid, self._made, self._channel = plan, pid, made, channel

    def serve(self, number: str) -> None:
        if CLONE.NEWUSER & self._plan.new and None not in self._made:
            own = os.open(f"/proc/{self._pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
            self._made[None] = own
        place = os.open(f"/proc/{self._pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        helper = os.fork()
        if helper == 0:
            try:
                namespaces.setns(place, CLONE.NEWNS)
                channels.send_descriptor(self._channel.fd, "source", self._source(number))
            except OSError as error:
                self._channel.send(str(error.errno))
            finally:
                os._exit(0)
        os.close(place)
        os.waitpid(helper, 0)

    def _source(self, number: str) -> int:
        if number == ROOT:
            return os.open(self._plan.root, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        return _open(_mounts(self._plan)[int(number)], self._made)

    def close(self) -> None:
        while self._made:
            os.close(self._made.popitem()[1])


def _mounts(plan: Plan) -> tuple[MountPlan, ...]:
    """Those that a number stands for."""
    return (*plan.rootfs, *plan.mounts)


def _open(item: MountPlan, made: Held) -> int:
    user_namespace = made[item.idmap] if item.options.idmap else -1
    if item.type == "overlay" and not item.options.flags & MS.BIND:
        return _overlay(item, user_namespace)
    if item.holder:
        tree = made[item]
    else:
        tree = mount.open_tree(item.source, OPEN_TREE.CLONE | _recursive(item))
    if user_namespace >= 0:
        mount.set_attributes(
            tree,
            MOUNT_ATTR.IDMAP,
            userns=user_namespace,
            recursive=item.options.idmap == "ridmap",
        )
    return tree


def _recursive(item: MountPlan) -> int:
    return AT_RECURSIVE if item.options.flags & MS.REC else 0


def _overlay(item: MountPlan, user_namespace: int) -> int:
    """A detached overlay whose layers are mapped, as overlayfs itself cannot be.

    Each layer is a copy that is attached nowhere (Linux 6.15). The writable one and its work
    directory have to be on one mount: that of the directory which holds both.
    """
    held: list[int] = []

    def mapped(path: str) -> str:
        held.append(mount.open_tree(path, OPEN_TREE.CLONE))
        mount.set_attributes(held[-1], MOUNT_ATTR.IDMAP, userns=user_namespace)
        return f"/proc/self/fd/{held[-1]}"

    filesystem = mount.Filesystem("overlay")
    given = [option.partition("=")[::2] for option in item.options.data]
    top = next((os.path.dirname(value) for key, value in given if key == "upperdir"), "")
    writable = mapped(top) if top else ""
    filesystem.set("source", item.source or "overlay")
    for key, value in given:
        if key == "lowerdir":
            for layer in value.split(":"):
                filesystem.set("lowerdir+", mapped(layer))
        elif key in ("upperdir", "workdir"):
            filesystem.set(key, f"{writable}/{os.path.relpath(value, top)}")
        else:
            filesystem.set(key, value or None)
    try:
        with _as_owner(held[0] if top else -1):
            return filesystem.mount(mount_options.attributes(item.options.flags))
    finally:
        for fd in held:
            os.close(fd)


@contextlib.contextmanager
def _as_owner(tree: int) -> Iterator[None]:
    """Be who owns a mapped directory, with all our capabilities: what overlayfs needs on the disk
    it makes as who has mounted it, and the host's root does not exist there."""
    if tree < 0:
        yield
        return
    before, status = process.prctl(process.PR.GET_SECUREBITS), os.fstat(tree)
    process.prctl(process.PR.SET_SECUREBITS, before | process.NO_SETUID_FIXUP)
    ids = os.geteuid(), os.getegid()
    os.setegid(status.st_gid)
    os.seteuid(status.st_uid)
    try:
        yield
    finally:
        os.seteuid(ids[0])
        os.setegid(ids[1])
        process.prctl(process.PR.SET_SECUREBITS, before)
