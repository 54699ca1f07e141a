"""Control groups, v1, v2 and hybrid, behind one Protocol.

A cgroup is named by one path, "/sampan/<id>", whatever the host mounts; its manager makes the
directories, moves processes in, applies OCI `linux.resources` and reads the figures back:

    group = cgroup.manager("/sampan/web")
    group.create(); group.apply({"memory": {"limit": 64 << 20}}); group.add(pid)
    ...
    group.kill(); group.delete()

An absolute path starts at the hierarchy's mount point, a relative one at the caller's own cgroup;
"SLICE:PREFIX:NAME" is a unit of systemd's, see `systemd`. The host is probed once. Each controller
is a file here and knows both dialects.
Errors, in `errors`: NoCgroups, ControllerMissing, InvalidLimit, LimitBelowUsage, CgroupBusy.
"""

from __future__ import annotations

import os

from sampan.linux.cgroup import host
from sampan.linux.cgroup.errors import InvalidLimit, NoCgroups
from sampan.linux.cgroup.tree import Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from sampan.linux.cgroup.stats import Stats

    class Manager(Protocol):
        """One cgroup. Any method may be called again; after `delete`, `create` or `delete`."""

        def create(self) -> None:
            """Make it, and its parents; an existing one is taken as it is."""

        def add(self, pid: int) -> None:
            """Move a process (with all its threads) in."""

        def occupied(self) -> None:
            """Somebody came in by other means than `add`; from here on it may not be empty."""

        def apply(self, resources: dict[str, Any]) -> None:
            """Apply `linux.resources` in its JSON form; absent sections stay as they are."""

        def freeze(self) -> None: ...

        def thaw(self) -> None: ...

        def is_frozen(self) -> bool: ...

        def pids(self) -> list[int]:
            """Processes here and in the cgroups below."""
            ...

        def kill(self, signal: int = 9) -> None:
            """Signal them all; SIGKILL also ends frozen ones."""

        def stats(self) -> Stats: ...

        def oom_count(self) -> int:
            """Processes ended by the out-of-memory killer so far."""
            ...

        def oom_fd(self) -> int | None:
            """A descriptor, the caller's, that becomes readable when `oom_count` may have grown."""
            ...

        def delete(self) -> None:
            """Remove it and those below; CgroupBusy if somebody stays inside for a second."""

        def paths(self) -> dict[str, str]:
            """Controller → directory; "" is the unified tree's."""
            ...


def unified() -> bool:
    """Whether this host has v2 and nothing else."""
    layout = host.layout()
    return layout.unified is not None and not layout.v1


def manager(path: str) -> Manager:
    """The cgroup of this path on this host; nothing is made yet."""
    if ":" in path:
        from sampan.linux.cgroup import systemd

        return systemd.manager(path)
    layout = host.layout()
    if not layout.v1 and layout.unified is None:
        raise NoCgroups("no cgroup file system is mounted (see /proc/self/mountinfo)")
    own = {} if path.startswith("/") else host.own_cgroups()
    if ".." in path.split("/"):
        raise InvalidLimit(f"the cgroup path {path!r} may not contain ..")
    inner = os.path.normpath("/" + path.strip("/"))
    v1 = {c: _directory(where, own.get(c), inner) for c, where in layout.v1.items()}
    if layout.unified is None:
        return from_paths(v1)
    above = own.get("")
    if above is not None and not layout.v1:
        # Our own cgroup holds us, so it may not hand controllers down; its parent may.
        above = os.path.dirname(above)
    return from_paths({**v1, "": _directory(layout.unified, above, inner)})


def from_paths(paths: dict[str, str]) -> Manager:
    """The cgroup with exactly these directories, as `Manager.paths` gave them."""
    v1 = {controller: directory for controller, directory in paths.items() if controller}
    unified = host.layout().unified
    tree = Tree(v1, paths.get("", ""), unified.mount_point if unified else "")
    if not v1:
        from sampan.linux.cgroup.v2 import V2

        return V2(tree)
    if tree.unified:
        from sampan.linux.cgroup.hybrid import Hybrid

        return Hybrid(tree)
    from sampan.linux.cgroup.v1 import V1

    return V1(tree)


def of_process(pid: int) -> Manager:
    """The cgroup a process is in."""
    layout, own = host.layout(), host.own_cgroups(pid)
    paths = {c: _directory(where, own.get(c, "/"), "") for c, where in layout.v1.items()}
    if layout.unified is not None:
        paths[""] = _directory(layout.unified, own.get("", "/"), "")
    return from_paths(paths)


def _directory(where: host.Hierarchy, own: str | None, inner: str) -> str:
    """`own` is a path in the hierarchy, of which the mount shows only what is below its root."""
    if own is None:
        return where.mount_point + inner
    if where.root != "/" and (own + "/").startswith(where.root + "/"):
        own = own[len(where.root) :]
    return where.mount_point + os.path.normpath("/" + own.strip("/") + inner).rstrip("/")
