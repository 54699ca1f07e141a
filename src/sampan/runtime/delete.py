"""`delete`: undo what `create` made; what it did not make stays."""

from __future__ import annotations

import os
import select

from sampan.kit import errors as kinds
from sampan.kit import json
from sampan.linux import cgroup
from sampan.runtime import cgroups, errors, state
from sampan.spec import oci_runtime

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
    config = container.config
    if config.linux.intel_rdt:
        from sampan.linux import resctrl

        resctrl.Group(config.linux.intel_rdt, container.id).remove()
    found = config.hooks.poststop
    document = {**container.document(), "status": "stopped"} if found else {}
    state.remove(container.directory)
    for hook in found:
        from sampan.runtime import hooks

        try:
            hooks.run_all((hook,), "poststop", document)
        except errors.HookFailed as error:  # the specification: log it and go on
            warn(str(error))


def delete_unfinished(root: str, container_id: str) -> None:
    """What a `create` left that never came to an end; nothing there is fine, too."""
    state.check_id(container_id)
    directory = f"{root}/{container_id}"
    try:
        with open(f"{directory}/config.json", encoding="utf-8") as file:
            config = oci_runtime.parse(json.loads(file.read()))
        manager = cgroup.manager(cgroups.path_of(config, container_id))
        manager.kill()
        manager.delete()
    except (OSError, ValueError, kinds.SampanError):  # not even that was written
        pass
    state.remove(directory)


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
