"""`pause` and `resume`: freeze a container's cgroup and thaw it."""

from __future__ import annotations

from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.state import Container


def pause(container: Container) -> None:
    if container.status not in ("running", "created"):
        raise errors.WrongState("container not running")
    container.manager.freeze()


def resume(container: Container) -> None:
    if container.status != "paused":
        raise errors.WrongState("container not paused")
    container.manager.thaw()
