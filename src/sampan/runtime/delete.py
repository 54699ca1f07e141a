"""`delete`: undo what `create` made; what it did not make stays."""

from __future__ import annotations

import os
import select

from sampan.runtime import errors, hooks, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sampan.runtime.state import Container


def delete(
    container: Container, *, force: bool = False, warn: Callable[[str], None] = lambda text: None
) -> None:
    """Remove a stopped (or only created) container; with `force` a running one is killed."""
    status = container.status
    if status in ("running", "paused") and not force:
        raise errors.WrongState(
            f"cannot delete container {container.id} that is not stopped: {status}"
        )
    if status != "stopped":
        _end(container)
    manager = container.manager
    manager.kill()
    manager.delete()
    found = container.config.hooks.poststop
    document = {**container.document(), "status": "stopped"} if found else {}
    state.remove(container.directory)
    for hook in found:
        try:
            hooks.run_all((hook,), "poststop", document)
        except errors.HookFailed as error:  # the specification: log it and go on
            warn(str(error))


def _end(container: Container) -> None:
    try:
        pidfd = os.pidfd_open(container.pid)
    except ProcessLookupError:
        return
    container.signal(9)
    container.manager.thaw()  # a frozen process dies when it thaws
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(10_000)
    os.close(pidfd)
