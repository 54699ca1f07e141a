"""The cgroup of a process that `exec` starts: the container's, or one below it.

`--cgroup [CONTROLLER[,CONTROLLER]:]PATH` names an existing cgroup below the container's. Without
it, and where the container's own cgroup takes no process (it has moved its PID 1 into a cgroup
below and hands controllers down), the new process goes where PID 1 is.
"""

from __future__ import annotations

import os

from sampan.linux import cgroup
from sampan.linux.cgroup.errors import CgroupBusy
from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.linux.cgroup import Manager


def enter(manager: Manager, pid: int, init: int, wanted: tuple[str, ...] = ()) -> None:
    """Move `pid` in; `init` is the container's PID 1. Raises InvalidConfig, WrongState."""
    group = cgroup.from_paths(below(manager.paths(), wanted)) if wanted else manager
    try:
        group.add(pid)
    except (CgroupBusy, FileNotFoundError) as error:
        if not wanted:
            cgroup.of_process(init).add(pid)
            return
        cause = error if isinstance(error, OSError) else error.__cause__
        what = errors.reason(cause) if isinstance(cause, OSError) else "busy"
        raise errors.WrongState(
            f"error adding pid {pid} to cgroups: --cgroup {' '.join(wanted)}: {error}: {what}"
        ) from error


def below(paths: dict[str, str], wanted: tuple[str, ...]) -> dict[str, str]:
    """The directories that `--cgroup` names: {"memory": "/…/web"}, ("memory:sub",) → /…/web/sub."""
    found, named = dict(paths), set()
    for text in wanted:
        controllers, colon, path = text.rpartition(":")
        if ".." in path.split("/"):
            raise errors.InvalidConfig(f"--cgroup: bad sub cgroup path {path!r}: it leads out")
        if not colon and len(wanted) > 1:
            raise errors.InvalidConfig(f"--cgroup {text}: several need CONTROLLER: before each")
        for controller in controllers.split(",") if colon else paths:
            if controller not in paths or (colon and not controller):
                raise errors.InvalidConfig(f"--cgroup {text}: unknown controller {controller!r}")
            if controller in named:
                raise errors.InvalidConfig(f"--cgroup: {controller} is given more than once")
            named.add(controller)
            found[controller] = os.path.normpath(f"{paths[controller]}/{path}")
    if not named:
        raise errors.InvalidConfig("--cgroup: this container has no cgroup of its own")
    return found
