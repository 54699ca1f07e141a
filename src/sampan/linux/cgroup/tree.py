"""One cgroup's directories: one in each v1 hierarchy, one in the unified tree, or both.

A controller file asks the tree for the directory in the dialect it speaks:

    if directory := tree.v1("pids"): …
    elif directory := tree.v2("pids"): …
    else: raise tree.missing("pids", "a limit of 100 processes")
"""

from __future__ import annotations

import errno
import os

from sampan.linux.cgroup import files
from sampan.linux.cgroup.errors import ControllerMissing


class Tree:
    def __init__(self, v1: dict[str, str], unified: str, mount_point: str = "") -> None:
        self.v1_paths = v1
        self.unified = unified
        self.mount_point = mount_point  # of the unified tree: where enabling starts

    def v1(self, controller: str) -> str | None:
        return self.v1_paths.get(controller)

    def v2(self, controller: str) -> str | None:
        """The unified directory if `controller` is, or can be, enabled in it."""
        if not self.unified:
            return None
        if controller not in self._available():
            enable(self.mount_point, self.unified, controller)
            if controller not in self._available():
                return None
        return self.unified

    def _available(self) -> list[str]:
        try:
            return files.read(f"{self.unified}/cgroup.controllers").split()
        except FileNotFoundError:
            return []

    def missing(self, controller: str, wanted: str) -> ControllerMissing:
        return ControllerMissing(
            controller,
            f"{wanted} needs the {controller} cgroup controller, which is not {self._why()}",
        )

    def _why(self) -> str:
        if self.v1_paths:
            return "mounted on this host"
        return f"enabled in {os.path.dirname(self.unified)} on this host"


def enable(mount_point: str, directory: str, only: str = "") -> None:
    """Enable controllers in every ancestor of `directory`, from the mount point down.

    A controller that cannot be enabled is passed over: whoever needs it finds it missing and says
    so. A cgroup with processes of its own hands nothing down: it could the threaded controllers
    (cpu, pids, …), but would become a threaded domain, and those below could not be entered
    (cgroup-v2.rst, "Threads"; EOPNOTSUPP).
    """
    at = mount_point
    for name in [*directory[len(mount_point) :].strip("/").split("/")]:
        available = files.read(f"{at}/cgroup.controllers").split()
        enabled = files.read(f"{at}/cgroup.subtree_control").split()
        wanted = [c for c in available if c not in enabled and only in ("", c)]
        if wanted and not _has_processes(at):
            _enable_all(at, wanted)
        at = f"{at}/{name}"
        if not files.exists(at):
            os.mkdir(at, 0o755)


def _enable_all(directory: str, controllers: list[str]) -> None:
    if not _enable(directory, " ".join([f"+{controller}" for controller in controllers])):
        for controller in controllers:  # one of them is refused, as cpu is with realtime processes
            _enable(directory, f"+{controller}")


def _has_processes(directory: str) -> bool:
    """Of its own, as a domain. The root may have some, and has no cgroup.type."""
    if not files.exists(f"{directory}/cgroup.type"):
        return False
    try:
        return bool(files.read(f"{directory}/cgroup.procs"))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # threaded: its processes are listed above it
            raise
        return True


def _enable(directory: str, value: str) -> bool:
    try:
        files.write(f"{directory}/cgroup.subtree_control", value)
    except OSError:
        return False
    return True
