"""`start`: let a created container run its command."""

from __future__ import annotations

import os

from sampan.runtime import channel as channels
from sampan.runtime import errors, run_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.state import Container


def start(container: Container) -> None:
    """Returns once the command runs; raises what its execve failed with."""
    status = container.status
    if status == "stopped":
        raise errors.WrongState("cannot start a container that has stopped")
    if status != "created":
        raise errors.WrongState("cannot start an already running container")
    notify = run_files.notifying()
    relay = notify.relay(container.directory) if notify else None
    directory = os.open(container.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        line = channels.connect(f"/proc/self/fd/{directory}/start.sock")
    finally:
        os.close(directory)
    line.send("start")
    message = line.receive()
    line.close()
    os.unlink(f"{container.directory}/start.sock")
    if message:
        raise errors.by_name(message[1], message[2])
    try:
        poststart(container)
    except BaseException:
        from sampan.runtime import delete

        delete.delete(container, force=True)  # the specification's step 12, poststop included
        raise
    if relay:
        relay.wait(container.pid)


def poststart(container: Container) -> None:
    """These hooks may fail the start (runtime-spec 1.3): the container is then killed."""
    found = container.config.hooks.poststart
    if not found:
        return
    from sampan.runtime import hooks

    try:
        hooks.run_all(found, "poststart", container.document())
    except BaseException:
        container.signal(9)
        raise
