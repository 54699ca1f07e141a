"""`kill`: a signal for the container's PID 1, or for all of its processes."""

from __future__ import annotations

from sampan.runtime import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.state import Container


def kill(container: Container, number: int, *, every: bool = False) -> None:
    if every:
        container.manager.kill(number)
        return
    if container.status == "stopped":
        raise errors.WrongState("container not running")
    container.signal(number)
    if number == 9 and container.manager.is_frozen():
        container.manager.thaw()  # a frozen process dies when it thaws
