"""What all managers share: limits, figures, out-of-memory notices, removing directories."""

from __future__ import annotations

import errno
import os
import time

from sampan.linux.cgroup import files, host
from sampan.linux.cgroup.errors import CgroupBusy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sampan.linux.cgroup.stats import Stats
    from sampan.linux.cgroup.tree import Tree

# Section of linux.resources → the module that applies it, in the order in which they are applied.
# They are imported when a section is there: most containers ask for few.
_SECTIONS = (
    ("devices", "devices"),
    ("memory", "memory"),
    ("cpu", "cpuset"),
    ("cpu", "cpu"),
    ("pids", "pids"),
    ("blockIO", "blkio"),
    ("hugepageLimits", "hugetlb"),
    ("network", "net_cls"),
    ("rdma", "rdma"),
    ("unified", "unified"),
)
_PATIENCE = 1.0  # seconds a killed process may take to leave its cgroup


class Base:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree

    def apply(self, resources: dict[str, Any]) -> None:
        """Apply `linux.resources` (JSON form).

        Raises ControllerMissing, InvalidLimit, LimitBelowUsage.
        """
        for section, name in _SECTIONS:
            if value := resources.get(section):
                _module(name).apply(self.tree, value)

    def occupied(self) -> None:
        """The kernel keeps empty ones too."""

    def stats(self) -> Stats:
        from sampan.linux.cgroup import blkio, cpu, hugetlb, memory, pids
        from sampan.linux.cgroup.stats import Stats

        tree = self.tree
        return Stats(
            cpu=cpu.stats(tree),
            memory=memory.stats(tree),
            pids=pids.stats(tree),
            io=blkio.stats(tree),
            hugetlb=hugetlb.stats(tree),
        )

    def oom_count(self) -> int:
        count: int = _module("memory").oom_count(self.tree)
        return count

    def oom_fd(self) -> int | None:
        fd: int | None = _module("memory").oom_fd(self.tree)
        return fd

    def paths(self) -> dict[str, str]:
        found = dict(self.tree.v1_paths)
        if self.tree.unified:
            found[""] = self.tree.unified
        return found


def prime() -> None:
    """Import now what would be imported later, for a process that cannot any more then."""
    import math  # noqa: F401  # `cpu` on v2; from Python 3.14 on nothing else needs it

    from sampan.linux import inotify  # noqa: F401

    drivers = ("systemd", "unit_properties") if host.booted_by_systemd() else ()
    modules = (module for _, module in _SECTIONS)
    for name in ("stats", "device_program", "delegate", *drivers, *modules):
        _module(name)


def _module(name: str) -> Any:
    return __import__(f"sampan.linux.cgroup.{name}", fromlist=["apply"])


def make(directory: str) -> None:
    try:
        os.mkdir(directory, 0o755)
    except FileNotFoundError:
        make(os.path.dirname(directory))
        make(directory)
    except FileExistsError:
        pass


def enter(directory: str, pid: int) -> None:
    """Write cgroup.procs. Raises ProcessLookupError when the process is gone."""
    try:
        files.write(f"{directory}/cgroup.procs", str(pid))
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.EOPNOTSUPP, errno.ENOSPC):
            raise
        why = {
            errno.EBUSY: "it hands controllers to the cgroups in it",
            errno.EOPNOTSUPP: f"its cgroup.type is {_type(directory)}, not a domain of processes",
            errno.ENOSPC: "its cpuset is empty",
        }[error.errno]
        raise CgroupBusy(f"{directory} takes no process: {why}") from error


def _type(directory: str) -> str:
    try:
        return repr(files.read(f"{directory}/cgroup.type").strip())
    except OSError:
        return "unknown"


def remove(directory: str) -> None:
    """Remove a cgroup and those below; waits a little for processes that are still dying."""
    deadline, pause = 0.0, 0.0005
    while not _remove_now(directory):
        now = time.monotonic()
        deadline = deadline or now + _PATIENCE
        if now > deadline:
            left = ", ".join(map(str, list(walk_pids(directory))[:10]))
            raise CgroupBusy(f"{directory} cannot be removed: processes are in it ({left})")
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _remove_now(directory: str) -> bool:
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        below = files.sub_cgroups(directory)
        gone = [_remove_now(d) for d in below]  # all of them, also after one that stays
        return bool(gone) and all(gone) and _remove_now(directory)
    return True


def walk_pids(directory: str) -> Iterator[int]:
    """Processes of a cgroup and of those below it, which may go away while we look."""
    try:
        text = files.read(f"{directory}/cgroup.procs")
    except OSError as error:
        # EOPNOTSUPP: threaded, listed above it.
        if error.errno not in (errno.ENOENT, errno.EOPNOTSUPP):
            raise
        text = ""
    for word in text.split():
        yield int(word)
    for below in files.sub_cgroups(directory):
        yield from walk_pids(below)


def send(pid: int, signal: int) -> None:
    try:
        os.kill(pid, signal)
    except ProcessLookupError:
        pass
